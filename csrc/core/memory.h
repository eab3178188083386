// Pages: memory that steps compute in, from the system or, for weights, a mapped file.
#pragma once

#include <cstddef>
#include <memory>

namespace graphc {

class Pages {
  public:
    // `bytes` zeroed bytes aligned to 64 between two pages that nothing may touch. They end at most
    // 63 bytes before the second, exactly at it if `bytes` is a multiple of 64. Large ones ask for
    // huge pages. Throws Error (GC-M002) where there is no memory.
    explicit Pages(std::size_t bytes = 0);
    // Memory of somebody else's, which `owner` keeps alive: a private mapping of a file.
    Pages(char* data, std::size_t bytes, std::shared_ptr<void> owner);
    ~Pages();
    Pages(Pages&& other) noexcept;
    Pages& operator=(Pages&& other) noexcept;
    Pages(const Pages&) = delete;
    Pages& operator=(const Pages&) = delete;

    char* data() const { return data_; }
    std::size_t size() const { return size_; }

    // Gives what lies in a range, and a little around it, back to the system, as far as that is a
    // file's and has not been written: whoever reads it again gets the same bytes from the file.
    // Does nothing where it cannot be told what was written. Nobody may write there meanwhile.
    void drop(std::size_t offset, std::size_t bytes) const;

  private:
    char* base_ = nullptr;  // of the whole mapping, guards included
    std::size_t mapped_ = 0;
    char* data_ = nullptr;
    std::size_t size_ = 0;
    std::shared_ptr<void> owner_;
};

// Takes bytes out of all caches, where the processor has an instruction for that.
void evict(const char* data, std::size_t bytes);

}  // namespace graphc
