#include "core/memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <utility>

#include "core/isa.h"
#include "error.h"

#if GRAPHC_X86
#include <emmintrin.h>
#endif

namespace graphc {

namespace {

constexpr std::size_t kLine = 64;
constexpr std::size_t kHuge = std::size_t(4) << 20;  // from this size on huge pages waste little
// One fault maps what the page cache has of the 64 KiB around it.
constexpr std::size_t kAround = std::size_t(1) << 16;

[[noreturn]] void fail(std::size_t bytes) {
    throw Error("GC-M002", "the system gives no " + std::to_string(bytes) + " bytes of memory",
                "use a smaller batch or input");
}

// The Linux file that says of each page of this process what it is. Opened anew each time: a child
// process would see its parent's.
class PageMap {
  public:
    PageMap() : file_(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)) {}
    ~PageMap() {
        if (file_ >= 0) close(file_);
    }
    PageMap(const PageMap&) = delete;
    PageMap& operator=(const PageMap&) = delete;

    // The words of pages from `first` on; returns how many it could read.
    std::size_t read(std::size_t first, std::uint64_t* words, std::size_t count) const {
        const ssize_t got =
            file_ < 0 ? -1
                      : pread(file_, words, count * sizeof *words, off_t(first * sizeof *words));
        return got < 0 ? 0 : std::size_t(got) / sizeof *words;
    }

  private:
    int file_;
};

// Documentation/admin-guide/mm/pagemap.rst: bit 61 says that a page is a file's, and not a copy
// that was written; bits 62 and 63 that there is one at all, swapped out or in memory.
bool is_clean(std::uint64_t word) {
    constexpr std::uint64_t file = std::uint64_t(1) << 61, any = std::uint64_t(3) << 62;
    return (word & file) != 0 || (word & any) == 0;
}

}  // namespace

Pages::Pages(std::size_t bytes) : size_(bytes) {
    if (bytes == 0) return;
    const std::size_t page = std::size_t(sysconf(_SC_PAGESIZE));
    if (bytes > SIZE_MAX / 2) fail(bytes);
    const std::size_t lines = (bytes + kLine - 1) / kLine * kLine;
    const std::size_t inner = (lines + page - 1) / page * page;
    void* base = mmap(nullptr, inner + 2 * page, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) fail(bytes);
    base_ = static_cast<char*>(base);
    mapped_ = inner + 2 * page;
    if (mprotect(base_ + page, inner, PROT_READ | PROT_WRITE) != 0) {
        munmap(base_, mapped_);
        fail(bytes);
    }
#ifdef MADV_HUGEPAGE
    if (inner >= kHuge) madvise(base_ + page, inner, MADV_HUGEPAGE);  // a wish: it may fail
#endif
    data_ = base_ + page + inner - lines;
}

Pages::Pages(char* data, std::size_t bytes, std::shared_ptr<void> owner)
    : data_(data), size_(bytes), owner_(std::move(owner)) {}

Pages::~Pages() {
    if (base_) munmap(base_, mapped_);
}

Pages::Pages(Pages&& other) noexcept { *this = std::move(other); }

Pages& Pages::operator=(Pages&& other) noexcept {
    std::swap(base_, other.base_);
    std::swap(mapped_, other.mapped_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(owner_, other.owner_);
    return *this;
}

void Pages::drop(std::size_t offset, std::size_t bytes) const {
    if (!owner_ || bytes == 0) return;
    const std::size_t page = std::size_t(sysconf(_SC_PAGESIZE));
    const std::uintptr_t start = std::uintptr_t(data_) / page * page;
    const std::uintptr_t end = (std::uintptr_t(data_) + size_ + page - 1) / page * page;
    const std::uintptr_t low = std::uintptr_t(data_) + offset;
    std::uintptr_t at = std::max(start, low / kAround * kAround);
    const std::uintptr_t stop = std::min(end, (low + bytes + kAround - 1) / kAround * kAround);
    const PageMap map;
    std::array<std::uint64_t, 512> words;
    while (at < stop) {
        const std::size_t asked = std::min(words.size(), std::size_t(stop - at) / page);
        const std::size_t got = map.read(at / page, words.data(), asked);
        if (got == 0) return;
        for (std::size_t i = 0; i < got;) {
            std::size_t past = i;
            while (past < got && is_clean(words[past])) ++past;
            void* const first = reinterpret_cast<void*>(at + i * page);
            if (past > i) madvise(first, (past - i) * page, MADV_DONTNEED);
            i = past + 1;
        }
        at += got * page;
    }
}

void evict(const char* data, std::size_t bytes) {
#if GRAPHC_X86
    for (std::size_t at = 0; at < bytes; at += kLine) _mm_clflush(data + at);
    if (bytes > 0) _mm_clflush(data + bytes - 1);
    _mm_mfence();
#else
    static_cast<void>(data);
    static_cast<void>(bytes);
#endif
}

}  // namespace graphc
