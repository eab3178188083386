// Field: an operand seen as planes of rows, plain (planes.h) or in blocks of channels (blocked.h).
#pragma once

#include <string>

#include "core/attrs.h"
#include "kernels/blocked.h"
#include "kernels/planes.h"

namespace graphc {

// In blocks if there is the parameter channels; else planes have one lane.
struct Field {
    Index planes = 0, height = 0, width = 0, lanes = 1, pitch = 0;
    Planes plain;
    Blocked blocked;

    Field() = default;

    Field(const Spec& spec, const Attrs& attrs, const std::string& name) {
        if (attrs.has("channels")) {
            blocked = Blocked(spec, attrs.integer("channels"), name, spec.dtype);
            lanes = blocked.lanes;
            planes = blocked.count();
            height = blocked.height;
            width = blocked.width;
            pitch = width * lanes;
        } else {
            plain = Planes(spec, name);
            planes = plain.count();
            height = plain.height;
            width = plain.width;
            pitch = plain.pitch;
        }
    }

    Index offset(Index plane) const {
        return lanes > 1 ? blocked.offset(plane) : plain.offset(plane);
    }
    Index size() const { return planes * height * width * lanes; }
    // The same shape; the same but for the extents of planes.
    bool has_shape_of(const Field& other) const {
        return goes_with(other) && height == other.height && width == other.width;
    }
    bool goes_with(const Field& other) const {
        const bool is_same = lanes > 1 ? blocked.samples == other.blocked.samples
                                       : plain.samples == other.plain.samples;
        return is_same && lanes == other.lanes && planes == other.planes;
    }
};

}  // namespace graphc
