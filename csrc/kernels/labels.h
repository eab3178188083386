// Labels: class numbers given as floats, read and checked as graphc/ops/_loss.py does.
#pragma once

#include <cstdint>

#include "core/kernel.h"

namespace graphc {

class Labels {
  public:
    // Attributes: `ignore_label`, if there is one. Throws Error unless there are `count` labels.
    Labels(const Spec& spec, std::int64_t count, std::int64_t classes, const Attrs& attrs);

    // How many labels are not ignored; -1 if one is no class, which run.fault then tells (GC-D003).
    std::int64_t check(const float* labels, const Run& run) const;

    // Label number i of checked ones: its class, -1 if it is ignored.
    std::int64_t at(const float* labels, std::int64_t i) const {
        const auto label = std::int64_t(labels[i]);
        return has_ignored_ && label == ignored_ ? -1 : label;
    }

  private:
    void complain(std::int64_t index, float label, Fault& fault) const;

    Spec spec_;
    std::int64_t count_, classes_, ignored_ = 0;
    bool has_ignored_;
};

// What a summed loss is divided by: attribute `divisor`, where 0 stands for the number of labels
// that are not ignored, at least 1.
class Divisor {
  public:
    explicit Divisor(const Attrs& attrs) : fixed_(attrs.integer("divisor")) {}
    double of(std::int64_t valid) const {
        const std::int64_t divisor = fixed_ > 0 ? fixed_ : valid;
        return divisor > 0 ? double(divisor) : 1;
    }

  private:
    std::int64_t fixed_;
};

}  // namespace graphc
