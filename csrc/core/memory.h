// Pages: memory straight from the system, between two pages that nothing may touch.
#pragma once

#include <cstddef>

namespace graphc {

// `bytes` zeroed bytes aligned to 64 whose end lies at most 63 bytes before an inaccessible page,
// exactly at it if `bytes` is a multiple of 64. Throws Error (GC-M002) where there is no memory.
class Pages {
  public:
    explicit Pages(std::size_t bytes = 0);
    ~Pages();
    Pages(Pages&& other) noexcept;
    Pages& operator=(Pages&& other) noexcept;
    Pages(const Pages&) = delete;
    Pages& operator=(const Pages&) = delete;

    char* data() const { return data_; }
    std::size_t size() const { return size_; }

  private:
    char* base_ = nullptr;  // of the whole mapping, guards included
    std::size_t mapped_ = 0;
    char* data_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace graphc
