#include "core/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "error.h"

namespace graphc {

namespace {

constexpr std::size_t kLine = 64;

[[noreturn]] void fail(std::size_t bytes) {
    throw Error("GC-M002", "the system gives no " + std::to_string(bytes) + " bytes of memory",
                "use a smaller batch or input");
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
    data_ = base_ + page + inner - lines;
}

Pages::~Pages() {
    if (base_) munmap(base_, mapped_);
}

Pages::Pages(Pages&& other) noexcept { *this = std::move(other); }

Pages& Pages::operator=(Pages&& other) noexcept {
    std::swap(base_, other.base_);
    std::swap(mapped_, other.mapped_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
}

}  // namespace graphc
