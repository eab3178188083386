// Profile: bytes alive by step, in a tree.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace graphc::plan {

// Bytes by step: the most in a range of steps, and more or less of them in a range. Ranges go from
// the leaves up, beside the two paths to what bounds them; what is added stays at its nodes.
class Profile {
  public:
    explicit Profile(const std::vector<std::int64_t>& live);
    std::int64_t most(std::int32_t first, std::int32_t last) const;
    void add(std::int32_t first, std::int32_t last, std::int64_t bytes);
    std::int64_t most() const { return most_[1]; }
    std::int32_t fullest() const;  // a step that has the most

  private:
    void join(std::size_t node);

    std::size_t leaves_ = 1;  // one more than there are steps before the first, and behind the last
    std::vector<std::int64_t> most_, more_;
};

}  // namespace graphc::plan
