// Preloaded by test_allocations.py: counts allocations by the library that asks for them, or fails
// the n-th one that graphc's core asks for. glibc only.

#include <dlfcn.h>
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>

extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
}

namespace {

constexpr int kMost = 1 << 16;
std::atomic<bool> counting{false};
std::atomic<int> count{0};
void* callers[kMost];
std::atomic<long> countdown{0};  // 0: nothing fails

void note(void* caller) {
    if (!counting) return;
    const int at = count++;
    if (at < kMost) callers[at] = caller;
}

struct Range {
    size_t start, stop;
};
Range spared[1 << 14];
int spared_count = 0;

const char* library(void* address) {
    Dl_info info;
    return dladdr(address, &info) != 0 && info.dli_fname ? info.dli_fname : "?";
}

bool must_fail(void* caller) {
    if (countdown == 0) return false;
    Dl_info info;
    if (dladdr(caller, &info) == 0 || std::strstr(info.dli_fname, "_core.") == nullptr)
        return false;
    const size_t at = size_t((char*)caller - (char*)info.dli_fbase);
    for (int i = 0; i < spared_count; ++i) {
        if (spared[i].start <= at && at < spared[i].stop) return false;
    }
    return --countdown == 0;
}

}  // namespace

extern "C" {

void start_counting() {
    count = 0;
    counting = true;
}
int stop_counting() {
    counting = false;
    return count < kMost ? int(count) : kMost;
}
const char* caller_of(int at) { return library(callers[at]); }

// What these functions of the core, by offset in its file, ask for never fails.
void spare(size_t start, size_t stop) {
    if (spared_count < (1 << 14)) spared[spared_count++] = {start, stop};
}

// The n-th allocation of graphc's core from now on fails; 0: none. Returns what was left to count.
long fail_at(long n) { return countdown.exchange(n); }

void* malloc(size_t size) {
    note(__builtin_return_address(0));
    return __libc_malloc(size);
}
void* calloc(size_t n, size_t size) {
    note(__builtin_return_address(0));
    return __libc_calloc(n, size);
}
void* realloc(void* old, size_t size) {
    note(__builtin_return_address(0));
    return __libc_realloc(old, size);
}
void* memalign(size_t alignment, size_t size) {
    note(__builtin_return_address(0));
    return __libc_memalign(alignment, size);
}
void* aligned_alloc(size_t alignment, size_t size) {
    note(__builtin_return_address(0));
    return __libc_memalign(alignment, size);
}
int posix_memalign(void** out, size_t alignment, size_t size) {
    note(__builtin_return_address(0));
    *out = __libc_memalign(alignment, size);
    return *out ? 0 : ENOMEM;
}
void* mmap(void* at, size_t size, int protection, int flags, int file, off_t offset) {
    note(__builtin_return_address(0));
    if (must_fail(__builtin_return_address(0))) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return (void*)syscall(SYS_mmap, at, size, protection, flags, file, offset);
}

}  // extern "C"

void* operator new(size_t size) {
    note(__builtin_return_address(0));
    if (must_fail(__builtin_return_address(0))) throw std::bad_alloc();
    void* const made = __libc_malloc(size ? size : 1);
    if (!made) throw std::bad_alloc();
    return made;
}
void operator delete(void* old) noexcept { free(old); }
void operator delete(void* old, size_t) noexcept { free(old); }
