// Which sample a number names.
#pragma once

#include "device.h"

namespace graphc {

// `number` truncated to a whole one, or -1 if that is none of 0 .. count - 1 (NaN is not).
GRAPHC_DEVICE Index sample_of(float number, Index count) {
    return number > -1.0F && double(number) < double(count) ? Index(number) : -1;
}

}  // namespace graphc
