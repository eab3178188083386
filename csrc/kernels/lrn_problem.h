// What LRN kernels are told.
#pragma once

#include <cstdint>
#include <string>

#include "core/attrs.h"
#include "error.h"
#include "lrn.h"

namespace graphc {

// By the parameters radius (half the window), shift, share (the weight of one square) and beta.
inline Lrn lrn_of(const Attrs& attrs, const std::string& name) {
    const Lrn lrn = {attrs.integer("radius"), float(attrs.real("shift")),
                     float(attrs.real("share")), float(attrs.real("beta"))};
    if (lrn.radius < 0 || lrn.radius > INT32_MAX) {
        throw Error("GC-A001", name + ": the radius is negative or too large");
    }
    return lrn;
}

}  // namespace graphc
