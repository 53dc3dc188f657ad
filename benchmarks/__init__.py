"""What is timed or tried at length; results with hardware and versions in results/."""
