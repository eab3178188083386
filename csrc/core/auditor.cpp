#include "core/auditor.h"

#include <cstring>
#include <functional>

#include "error.h"

namespace graphc {

void poison(const std::vector<Bytes>& ranges) {
    for (const Bytes& range : ranges) {
        if (range.size > 0) std::memset(range.data, 0xff, range.size);
    }
}

Auditor::Auditor(const std::vector<std::shared_ptr<Pages>>& regions) : regions_(regions) {
    for (const auto& region : regions_) copies_.emplace_back(region->size());
}

void Auditor::before() {
    for (std::size_t i = 0; i < regions_.size(); ++i) {
        const Pages& region = *regions_[i];
        if (region.size() > 0) std::memcpy(copies_[i].data(), region.data(), region.size());
    }
}

// Takes what the step wrote over into the copies, so that they must then equal the regions.
void Auditor::after(const std::vector<Bytes>& written, const std::string& step) {
    for (const Bytes& range : written) {
        if (!range.spec) {
            accept(range.data, range.size);
        } else if (range.spec->size() > 0) {
            accept(range.data, *range.spec, 0);
        }
    }
    for (std::size_t i = 0; i < regions_.size(); ++i) {
        const Pages& region = *regions_[i];
        if (region.size() > 0 && std::memcmp(copies_[i].data(), region.data(), region.size())) {
            throw Error("GC-C002", "step " + step + " wrote beside its operands");
        }
    }
}

void Auditor::accept(const char* data, std::size_t bytes) {
    const std::less_equal<const char*> is_before;
    for (std::size_t i = 0; bytes > 0 && i < regions_.size(); ++i) {
        const char* const start = regions_[i]->data();
        if (is_before(start, data) && is_before(data + bytes, start + regions_[i]->size())) {
            std::memcpy(copies_[i].data() + (data - start), data, bytes);
        }
    }
}

void Auditor::accept(const char* data, const Spec& spec, int axis) {
    const std::size_t item = std::size_t(item_size(spec.dtype));
    if (axis == spec.rank) return accept(data, item);
    const bool is_run = axis == spec.rank - 1 && spec.strides[axis] == 1;
    if (is_run) return accept(data, std::size_t(spec.dims[axis]) * item);
    for (std::int64_t k = 0; k < spec.dims[axis]; ++k) {
        accept(data + std::size_t(k * spec.strides[axis]) * item, spec, axis + 1);
    }
}

}  // namespace graphc
