// What a process does to the files below one folder: written down, and refused when told to.
//
// Loaded into a program with LD_PRELOAD by the tests (tests/src/disk.rs, which also says what the
// records mean). Every operation below the folder is done and written down under one lock, so that
// the log is in the order of what happened; a sync counts only what was done before it. Calls on
// anything else, and sync_file_range everywhere, go through untouched: the latter is no promise.
//
//   SHIM_DISK_ROOT     the folder, absolute and without links
//   SHIM_DISK_LOG      the log, appended to; may be left out
//   SHIM_DISK_CONTROL  a file of struct control, which the test changes while the program runs
//
// Must not know what the files hold.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { CREATE = 1, WRITE, RESIZE, SYNC, SYNC_FAILED, RENAME, UNLINK, MKDIR, RMDIR, SYNC_FOLDER, LINK };

// One record of the log; path, second path and data follow.
struct head {
  uint32_t kind, path_bytes, to_bytes, data_bytes;
  uint64_t file, at;
};

// Each counts down to zero, where it acts once; below zero it never does.
struct control {
  int64_t room;            // bytes that may still be written; below zero: no limit
  int64_t write_fails_in;  // writes until one fails with EIO
  int64_t sync_fails_in;   // syncs of files until one fails with EIO
  int64_t dies_in;         // operations until the process kills itself before one
};

#define FDS 65536

static const char *root;
static size_t root_bytes;
static int log_fd = -1;
static struct control *control;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

// The kernel tells a failed sync once to each open file that was open then.
static uint64_t failed_file, failures, told[FDS];

#define REAL(type, name, ...)                          \
  static type (*real_##name)(__VA_ARGS__);             \
  if (!real_##name) real_##name = dlsym(RTLD_NEXT, #name)

static int real_open_at(int dir, const char *name, int flags, mode_t mode) {
  REAL(int, openat, int, const char *, int, ...);
  return real_openat(dir, name, flags, mode);
}

__attribute__((constructor)) static void start(void) {
  const char *folder = getenv("SHIM_DISK_ROOT"), *log = getenv("SHIM_DISK_LOG");
  const char *file = getenv("SHIM_DISK_CONTROL");
  if (!folder || !file) return;
  int fd = real_open_at(AT_FDCWD, file, O_RDWR | O_CLOEXEC, 0);
  control = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (log) log_fd = real_open_at(AT_FDCWD, log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 || control == MAP_FAILED || (log && log_fd < 0)) {
    fprintf(stderr, "the shim of the disk cannot start: %s\n", strerror(errno));
    _exit(99);
  }
  close(fd);
  root_bytes = strlen(folder);
  root = folder;
}

static int below(const char *path) {
  return root && !strncmp(path, root, root_bytes) && (path[root_bytes] == '/' || !path[root_bytes]);
}

// Whether an open file is a file or folder below the root; its path, as it is now. What a process
// prints is not, wherever the test keeps it.
static int is_ours(int fd, struct stat *st, char *path) {
  if (!root || fd <= STDERR_FILENO || fstat(fd, st) || !(S_ISREG(st->st_mode) || S_ISDIR(st->st_mode))) return 0;
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, PATH_MAX - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return below(path);
}

// Whether a name is one below the root; as an absolute path.
static int is_our_name(int dir, const char *name, char *path) {
  if (!root || !name) return 0;
  char folder[PATH_MAX] = "";
  if (name[0] != '/') {
    char link[64];
    if (dir == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
    else snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
    ssize_t length = readlink(link, folder, PATH_MAX - 2);
    if (length < 0) return 0;
    folder[length] = '/';
    folder[length + 1] = 0;
  }
  if (strlen(folder) + strlen(name) >= PATH_MAX) return 0;
  strcpy(path, folder);
  strcat(path, name);
  return below(path);
}

static int is_due(int64_t *count) {
  return *count >= 0 && (*count)-- == 0;
}

// Takes the turn. A process that is to die does so between two operations, never within one.
static void take_turn(void) {
  pthread_mutex_lock(&turn);
  if (is_due(&control->dies_in)) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
  }
}

static void end_turn(void) {
  int error = errno;
  pthread_mutex_unlock(&turn);
  errno = error;
}

static int is_full(void) { return control->room == 0; }

static void record(enum kind kind, uint64_t file, uint64_t at, const char *path, const char *to,
                   const void *data, size_t data_bytes) {
  if (log_fd < 0) return;
  int error = errno;
  struct head head = {kind, path ? strlen(path) : 0, to ? strlen(to) : 0, data_bytes, file, at};
  struct iovec parts[] = {{&head, sizeof head},
                          {(void *)path, head.path_bytes},
                          {(void *)to, head.to_bytes},
                          {(void *)data, data_bytes}};
  REAL(ssize_t, writev, int, const struct iovec *, int);
  size_t whole = sizeof head + head.path_bytes + head.to_bytes + data_bytes;
  if (real_writev(log_fd, parts, 4) != (ssize_t)whole) {
    fprintf(stderr, "the shim of the disk cannot write its log: %s\n", strerror(errno));
    _exit(99);
  }
  errno = error;
}

static int opened(int dir, const char *name, int flags, mode_t mode) {
  char path[PATH_MAX];
  struct stat st;
  if (!is_our_name(dir, name, path)) return real_open_at(dir, name, flags, mode);
  take_turn();
  int fd = -1, is_new = (flags & O_CREAT) && access(path, F_OK);
  if (is_new && is_full()) {
    errno = ENOSPC;
  } else {
    fd = real_open_at(dir, name, flags, mode);
  }
  if (fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode)) {
    if (fd < FDS) told[fd] = failures;
    if (is_new) record(CREATE, st.st_ino, 0, path, NULL, NULL, 0);
    else if (flags & O_TRUNC) record(RESIZE, st.st_ino, 0, NULL, NULL, NULL, 0);
  }
  end_turn();
  return fd;
}

#define MODE_OF(flags)                            \
  mode_t mode = 0;                                \
  if ((flags) & (O_CREAT | O_TMPFILE)) {          \
    va_list rest;                                 \
    va_start(rest, flags);                        \
    mode = va_arg(rest, mode_t);                  \
    va_end(rest);                                 \
  }

int open(const char *name, int flags, ...) {
  MODE_OF(flags)
  return opened(AT_FDCWD, name, flags, mode);
}
int open64(const char *name, int flags, ...) {
  MODE_OF(flags)
  return opened(AT_FDCWD, name, flags, mode);
}
int openat(int dir, const char *name, int flags, ...) {
  MODE_OF(flags)
  return opened(dir, name, flags, mode);
}
int openat64(int dir, const char *name, int flags, ...) {
  MODE_OF(flags)
  return opened(dir, name, flags, mode);
}
int creat(const char *name, mode_t mode) {
  return opened(AT_FDCWD, name, O_CREAT | O_WRONLY | O_TRUNC, mode);
}
int creat64(const char *name, mode_t mode) { return creat(name, mode); }

static ssize_t really_written(int fd, const void *data, size_t bytes, off_t at) {
  REAL(ssize_t, write, int, const void *, size_t);
  REAL(ssize_t, pwrite, int, const void *, size_t, off_t);
  return at < 0 ? real_write(fd, data, bytes) : real_pwrite(fd, data, bytes, at);
}

// A write at a place, or where the file stands for -1.
static ssize_t written(int fd, const void *data, size_t bytes, off_t at) {
  char path[PATH_MAX];
  struct stat st;
  if (!is_ours(fd, &st, path)) return really_written(fd, data, bytes, at);
  take_turn();
  ssize_t done = -1;
  // Looked at once: the test may change it at any moment.
  int64_t room = control->room;
  if (is_due(&control->write_fails_in)) {
    errno = EIO;
  } else if (bytes && room == 0) {
    errno = ENOSPC;
  } else {
    if (room > 0 && (int64_t)bytes > room) bytes = room;
    off_t place = at;
    if (at < 0) {
      int appends = fcntl(fd, F_GETFL) & O_APPEND;
      place = lseek(fd, 0, appends ? SEEK_END : SEEK_CUR);
    }
    done = really_written(fd, data, bytes, at);
    if (done > 0) {
      record(WRITE, st.st_ino, place, NULL, NULL, data, done);
      if (room > 0) control->room = room - done;
    }
  }
  end_turn();
  return done;
}

static ssize_t written_parts(int fd, const struct iovec *parts, int count, off_t at) {
  char path[PATH_MAX];
  struct stat st;
  if (!is_ours(fd, &st, path)) {
    REAL(ssize_t, writev, int, const struct iovec *, int);
    REAL(ssize_t, pwritev, int, const struct iovec *, int, off_t);
    return at < 0 ? real_writev(fd, parts, count) : real_pwritev(fd, parts, count, at);
  }
  size_t bytes = 0;
  for (int i = 0; i < count; i++) bytes += parts[i].iov_len;
  char *whole = malloc(bytes + 1), *end = whole;
  if (!whole) {
    errno = ENOMEM;
    return -1;
  }
  for (int i = 0; i < count; i++) {
    memcpy(end, parts[i].iov_base, parts[i].iov_len);
    end += parts[i].iov_len;
  }
  ssize_t done = written(fd, whole, bytes, at);
  int error = errno;
  free(whole);
  errno = error;
  return done;
}

ssize_t write(int fd, const void *data, size_t bytes) { return written(fd, data, bytes, -1); }
ssize_t pwrite(int fd, const void *data, size_t bytes, off_t at) { return written(fd, data, bytes, at); }
ssize_t pwrite64(int fd, const void *data, size_t bytes, off64_t at) { return written(fd, data, bytes, at); }
ssize_t writev(int fd, const struct iovec *parts, int count) { return written_parts(fd, parts, count, -1); }
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
  return written_parts(fd, parts, count, at);
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) {
  return written_parts(fd, parts, count, at);
}

// Copies inside the kernel are not followed: who asks for one falls back to reads and writes.
ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t bytes, unsigned flags) {
  char path[PATH_MAX];
  struct stat st;
  REAL(ssize_t, copy_file_range, int, off64_t *, int, off64_t *, size_t, unsigned);
  if (!is_ours(out, &st, path)) return real_copy_file_range(in, from, out, to, bytes, flags);
  errno = ENOSYS;
  return -1;
}
ssize_t sendfile64(int out, int in, off64_t *from, size_t bytes) {
  char path[PATH_MAX];
  struct stat st;
  REAL(ssize_t, sendfile64, int, int, off64_t *, size_t);
  if (!is_ours(out, &st, path)) return real_sendfile64(out, in, from, bytes);
  errno = ENOSYS;
  return -1;
}

// Changes a file's length by `change`; to grow it there must be room.
static int resized(int fd, off_t length, int (*change)(int, off_t, off_t), off_t from) {
  char path[PATH_MAX];
  struct stat st;
  if (!is_ours(fd, &st, path)) return change(fd, from, length);
  take_turn();
  int result = -1;
  if (from + length > st.st_size && is_full()) {
    errno = ENOSPC;
  } else {
    result = change(fd, from, length);
    if (!result && !fstat(fd, &st)) record(RESIZE, st.st_ino, st.st_size, NULL, NULL, NULL, 0);
  }
  end_turn();
  return result;
}

static int truncate_it(int fd, off_t from, off_t length) {
  REAL(int, ftruncate, int, off_t);
  (void)from;
  return real_ftruncate(fd, length);
}
static int allocate_it(int fd, off_t from, off_t length) {
  REAL(int, fallocate, int, int, off_t, off_t);
  return real_fallocate(fd, 0, from, length);
}

int ftruncate(int fd, off_t length) { return resized(fd, length, truncate_it, 0); }
int ftruncate64(int fd, off64_t length) { return resized(fd, length, truncate_it, 0); }
// Holes and the like are not followed: nothing here makes any.
int fallocate(int fd, int mode, off_t from, off_t length) {
  if (!mode) return resized(fd, length, allocate_it, from);
  errno = EOPNOTSUPP;
  return -1;
}
int fallocate64(int fd, int mode, off64_t from, off64_t length) { return fallocate(fd, mode, from, length); }
int posix_fallocate(int fd, off_t from, off_t length) {
  return resized(fd, length, allocate_it, from) ? errno : 0;
}
int posix_fallocate64(int fd, off64_t from, off64_t length) { return posix_fallocate(fd, from, length); }

static int synced(int fd, int (*sync)(int)) {
  char path[PATH_MAX];
  struct stat st;
  if (!is_ours(fd, &st, path)) return sync(fd);
  take_turn();
  int result = -1, is_file = S_ISREG(st.st_mode);
  if (is_file && is_due(&control->sync_fails_in)) {
    failed_file = st.st_ino;
    failures++;
    record(SYNC_FAILED, st.st_ino, 0, NULL, NULL, NULL, 0);
  }
  if (is_file && st.st_ino == failed_file && fd < FDS && told[fd] != failures) {
    told[fd] = failures;
    errno = EIO;
  } else {
    result = sync(fd);
    if (!result) record(is_file ? SYNC : SYNC_FOLDER, st.st_ino, 0, path, NULL, NULL, 0);
  }
  end_turn();
  return result;
}

static int sync_all(int fd) {
  REAL(int, fsync, int);
  return real_fsync(fd);
}
static int sync_data(int fd) {
  REAL(int, fdatasync, int);
  return real_fdatasync(fd);
}
int fsync(int fd) { return synced(fd, sync_all); }
int fdatasync(int fd) { return synced(fd, sync_data); }

static int renamed(int dir, const char *name, int to_dir, const char *to_name, unsigned flags) {
  char path[PATH_MAX], to[PATH_MAX];
  REAL(int, renameat2, int, const char *, int, const char *, unsigned);
  if (!is_our_name(dir, name, path) || !is_our_name(to_dir, to_name, to))
    return real_renameat2(dir, name, to_dir, to_name, flags);
  take_turn();
  int result = real_renameat2(dir, name, to_dir, to_name, flags);
  if (!result) record(RENAME, 0, 0, path, to, NULL, 0);
  end_turn();
  return result;
}
int rename(const char *name, const char *to) { return renamed(AT_FDCWD, name, AT_FDCWD, to, 0); }
int renameat(int dir, const char *name, int to_dir, const char *to) { return renamed(dir, name, to_dir, to, 0); }
int renameat2(int dir, const char *name, int to_dir, const char *to, unsigned flags) {
  return renamed(dir, name, to_dir, to, flags);
}

int linkat(int dir, const char *name, int to_dir, const char *to_name, int flags) {
  char path[PATH_MAX], to[PATH_MAX];
  REAL(int, linkat, int, const char *, int, const char *, int);
  if (!is_our_name(dir, name, path) || !is_our_name(to_dir, to_name, to))
    return real_linkat(dir, name, to_dir, to_name, flags);
  take_turn();
  int result = real_linkat(dir, name, to_dir, to_name, flags);
  if (!result) record(LINK, 0, 0, path, to, NULL, 0);
  end_turn();
  return result;
}
int link(const char *name, const char *to) { return linkat(AT_FDCWD, name, AT_FDCWD, to, 0); }

int unlinkat(int dir, const char *name, int flags) {
  char path[PATH_MAX];
  REAL(int, unlinkat, int, const char *, int);
  if (!is_our_name(dir, name, path)) return real_unlinkat(dir, name, flags);
  take_turn();
  int result = real_unlinkat(dir, name, flags);
  if (!result) record(flags & AT_REMOVEDIR ? RMDIR : UNLINK, 0, 0, path, NULL, NULL, 0);
  end_turn();
  return result;
}
int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }
int rmdir(const char *name) { return unlinkat(AT_FDCWD, name, AT_REMOVEDIR); }

int mkdirat(int dir, const char *name, mode_t mode) {
  char path[PATH_MAX];
  REAL(int, mkdirat, int, const char *, mode_t);
  if (!is_our_name(dir, name, path)) return real_mkdirat(dir, name, mode);
  take_turn();
  int result = -1;
  if (is_full() && access(path, F_OK)) {
    errno = ENOSPC;
  } else {
    result = real_mkdirat(dir, name, mode);
    if (!result) record(MKDIR, 0, 0, path, NULL, NULL, 0);
  }
  end_turn();
  return result;
}
int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }
