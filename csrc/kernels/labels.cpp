#include "kernels/labels.h"

#include <cmath>
#include <cstdio>

#include "kernels/shapes.h"

namespace graphc {

namespace {

// Text in a Fault, which has no room to grow and may not allocate.
class Text {
  public:
    explicit Text(Fault& fault) : fault_(fault) {}

    template <class... Values>
    void add(const char* format, Values... values) {
        const std::size_t room = sizeof fault_.message - length_;
        const int written = std::snprintf(fault_.message + length_, room, format, values...);
        if (written > 0) length_ += std::size_t(written) < room ? std::size_t(written) : room - 1;
    }

  private:
    Fault& fault_;
    std::size_t length_ = 0;
};

}  // namespace

Labels::Labels(const Spec& spec, std::int64_t count, std::int64_t classes, const Attrs& attrs)
    : spec_(spec), count_(count), classes_(classes), has_ignored_(attrs.has("ignore_label")) {
    expect(spec.dtype == DType::f32 && spec.contiguous() && spec.size() == count,
           "labels are dense floats, one per prediction");
    if (has_ignored_) ignored_ = attrs.integer("ignore_label");
}

std::int64_t Labels::check(const float* labels, const Run& run) const {
    std::int64_t valid = 0;
    for (std::int64_t i = 0; i < count_; ++i) {
        const double whole = std::trunc(double(labels[i]));
        if (has_ignored_ && whole == double(ignored_)) continue;
        if (!(whole >= 0 && whole < double(classes_))) {
            if (run.fault) complain(i, labels[i], *run.fault);
            return -1;
        }
        ++valid;
    }
    return valid;
}

void Labels::complain(std::int64_t index, float label, Fault& fault) const {
    std::int64_t at[kMaxRank] = {};
    for (int axis = spec_.rank - 1; axis >= 0; --axis) {
        at[axis] = index % spec_.dims[axis];
        index /= spec_.dims[axis];
    }
    Text text(fault);
    if (std::isnan(label)) {
        text.add("%s", "label nan at [");
    } else {
        text.add("label %g at [", double(label));
    }
    for (int axis = 0; axis < spec_.rank; ++axis) {
        text.add(axis ? ", %lld" : "%lld", static_cast<long long>(at[axis]));
    }
    text.add("%s", "] of shape (");
    for (int axis = 0; axis < spec_.rank; ++axis) {
        text.add(axis ? ", %lld" : "%lld", static_cast<long long>(spec_.dims[axis]));
    }
    text.add(spec_.rank == 1 ? ",) is none of the %lld classes 0 to %lld"
                             : ") is none of the %lld classes 0 to %lld",
             static_cast<long long>(classes_), static_cast<long long>(classes_ - 1));
    fault.code = "GC-D003";
    fault.hint =
        "labels count from 0; loss_param.ignore_label or accuracy_param.ignore_label names one to "
        "skip";
}

}  // namespace graphc
