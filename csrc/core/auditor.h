// Checks on a running session: NaN where nothing lives, and no write beside the operands.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "core/memory.h"
#include "core/tensor.h"

namespace graphc {

// Plain bytes, or, with a spec, the elements of a tensor at `data`.
struct Bytes {
    char* data;
    std::size_t size;
    const Spec* spec;
};

// Fills ranges with bytes that read as NaN.
void poison(const std::vector<Bytes>& ranges);

// Compares all regions before and after a step; much slower than the step.
class Auditor {
  public:
    explicit Auditor(const std::vector<std::shared_ptr<Pages>>& regions);
    void before();
    // Throws Error (GC-C002) if a byte outside `written` has changed.
    void after(const std::vector<Bytes>& written, const std::string& step);

  private:
    void accept(const char* data, std::size_t bytes);
    void accept(const char* data, const Spec& spec, int axis);

    std::vector<std::shared_ptr<Pages>> regions_;
    std::vector<std::vector<char>> copies_;
};

}  // namespace graphc
