// Profile: bytes alive by step, in a tree.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace graphc::plan {

// Bytes by step: the most in a range of steps, and more or less of them in a range.
class Profile {
  public:
    explicit Profile(const std::vector<std::int64_t>& live);
    std::int64_t most(std::int32_t first, std::int32_t last) const;
    void add(std::int32_t first, std::int32_t last, std::int64_t bytes);
    std::int64_t most() const { return most_[1]; }
    std::int32_t fullest() const;  // a step that has the most

  private:
    void add(std::size_t node, std::int32_t low, std::int32_t high, std::int32_t first,
             std::int32_t last, std::int64_t bytes);
    std::int64_t most(std::size_t node, std::int32_t low, std::int32_t high, std::int32_t first,
                      std::int32_t last) const;

    std::int32_t size_;
    std::vector<std::int64_t> most_, more_;
};

}  // namespace graphc::plan
