/* What a network file system does now and then, for LD_PRELOAD.

   Below FAULT_FOLDER, one call in FAULT_ONE_IN fails: a stale handle on open and mkdir,
   an input/output error on read, write and fsync, and of a rename either nothing is
   done, or all is done and the answer gets lost. Each fault is a line in FAULT_LOG. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAX_FILES 65536

static _Atomic unsigned long long state;
static _Atomic char below[MAX_FILES]; /* whether a descriptor is below the folder */

static int is_below(const char *path) {
  const char *folder = getenv("FAULT_FOLDER");
  return folder && path && strncmp(path, folder, strlen(folder)) == 0;
}

static int is_file(int file) { return file >= 0 && file < MAX_FILES && below[file]; }

static unsigned long long draw(void) {
  unsigned long long before = atomic_load(&state), x;
  do {
    x = before;
    if (!x) { /* the first draw of a process */
      const char *seed = getenv("FAULT_SEED");
      x = 0x9E3779B97F4A7C15ull * ((seed ? strtoull(seed, 0, 10) : 0) + getpid());
      x |= 1;
    }
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
  } while (!atomic_compare_exchange_weak(&state, &before, x));
  return x * 0x2545F4914F6CDD1Dull >> 16;
}

static int fails(const char *call, int number) {
  const char *one_in = getenv("FAULT_ONE_IN"), *log = getenv("FAULT_LOG");
  unsigned long long every = one_in ? strtoull(one_in, 0, 10) : 0;
  if (!every || draw() % every) return 0;
  if (log) { /* past the functions below */
    int file = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND, 0666);
    if (file >= 0) {
      char line[64] = {0};
      strncpy(line, call, 60);
      strcat(line, "\n");
      syscall(SYS_write, file, line, strlen(line));
      syscall(SYS_close, file);
    }
  }
  errno = number;
  return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define OPEN(name)                                              \
  int name(const char *path, int flags, ...) {                  \
    va_list rest;                                               \
    va_start(rest, flags);                                      \
    mode_t mode = va_arg(rest, mode_t);                         \
    va_end(rest);                                               \
    if (is_below(path) && fails("open", ESTALE)) return -1;     \
    int file = REAL(name)(path, flags, mode);                   \
    if (file >= 0 && file < MAX_FILES) below[file] = is_below(path); \
    return file;                                                \
  }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                            \
  int name(int folder, const char *path, int flags, ...) {      \
    va_list rest;                                               \
    va_start(rest, flags);                                      \
    mode_t mode = va_arg(rest, mode_t);                         \
    va_end(rest);                                               \
    if (is_below(path) && fails("open", ESTALE)) return -1;     \
    int file = REAL(name)(folder, path, flags, mode);           \
    if (file >= 0 && file < MAX_FILES) below[file] = is_below(path); \
    return file;                                                \
  }
OPENAT(openat)
OPENAT(openat64)

int close(int file) {
  if (file >= 0 && file < MAX_FILES) below[file] = 0;
  return REAL(close)(file);
}

ssize_t read(int file, void *data, size_t size) {
  if (is_file(file) && fails("read", EIO)) return -1;
  return REAL(read)(file, data, size);
}

ssize_t pread(int file, void *data, size_t size, off_t place) {
  if (is_file(file) && fails("read", EIO)) return -1;
  return REAL(pread)(file, data, size, place);
}

ssize_t pread64(int file, void *data, size_t size, off64_t place) {
  if (is_file(file) && fails("read", EIO)) return -1;
  return REAL(pread64)(file, data, size, place);
}

ssize_t write(int file, const void *data, size_t size) {
  if (is_file(file) && fails("write", EIO)) return -1;
  return REAL(write)(file, data, size);
}

ssize_t writev(int file, const struct iovec *parts, int count) {
  if (is_file(file) && fails("write", EIO)) return -1; /* TensorStore's */
  return REAL(writev)(file, parts, count);
}

int mkdir(const char *path, mode_t mode) {
  if (is_below(path) && fails("mkdir", ESTALE)) return -1;
  return REAL(mkdir)(path, mode);
}

int fsync(int file) {
  if (is_file(file) && fails("fsync", EIO)) return -1;
  return REAL(fsync)(file);
}

int rename(const char *from, const char *to) {
  if (is_below(from) && fails("rename", EIO)) {
    if (draw() % 2) { /* done, but the answer is that there is no such file */
      REAL(rename)(from, to);
      errno = ENOENT;
    }
    return -1;
  }
  return REAL(rename)(from, to);
}
