// Where the elements of images (N, C, H, W) lie, whose channels may come last in memory.
#pragma once

#include "device.h"

namespace graphc {

struct ImageOrder {
    Index channels;
    int is_last;
};

// Of an element n, c, h, w: `plane` = n * channels + c, and how far columns lie apart.
struct ImagePlace {
    Index plane, h, w, step;
};

// The `i`-th element in memory.
GRAPHC_DEVICE ImagePlace place_in_memory(const ImageOrder& order, Index i, Index height,
                                         Index width) {
    const Index step = order.is_last ? order.channels : 1, pixel = i / step;
    const Index image = pixel / width / height;
    return {order.is_last ? image * step + i % step : image, pixel / width % height, pixel % width,
            step};
}

// The first element of that plane in an image of `area` pixels.
GRAPHC_DEVICE Index start_of_plane(const ImageOrder& order, const ImagePlace& place, Index area) {
    if (!order.is_last) return place.plane * area;
    return place.plane / place.step * place.step * area + place.plane % place.step;
}

}  // namespace graphc
