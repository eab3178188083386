// Copies of elements, and transposes between NCHW and NHWC.
#include "grid.h"
#include "storage.h"
#include "strided.h"

namespace graphc {

// Every element of the walk.
template <class Item>
__global__ void copy_walk(Walk walk, Index count, Index from_start, Index to_start,
                          const Item* from, Item* to) {
    for (Index i = thread_in_grid(); i < count; i += threads_of_grid()) {
        copy_element(walk, i, from + from_start, to + to_start);
    }
}

// Zeros to every element of the walk.
template <class Item>
__global__ void zero_walk(Walk walk, Index count, Item* to) {
    for (Index i = thread_in_grid(); i < count; i += threads_of_grid()) {
        to[place_of(walk, i).to] = Item(0.0F);
    }
}

constexpr int kTile = 32, kTileRows = 8;  // a block has kTile * kTileRows threads

// to[b, j, i] = from[b, i, j], (batch, rows, columns): through shared memory, so that both sides
// are met in runs. grid: tiles of columns, tiles of rows, batch.
template <class Item>
__global__ void transpose(int rows, int columns, const Item* from, Item* to) {
    __shared__ Item tile[kTile][kTile + 1];
    const Index image = Index(blockIdx.z) * rows * columns;
    const int column = int(blockIdx.x) * kTile + int(threadIdx.x), top = int(blockIdx.y) * kTile;
    for (int i = int(threadIdx.y); i < kTile; i += kTileRows) {
        if (top + i < rows && column < columns) {
            tile[i][threadIdx.x] = from[image + Index(top + i) * columns + column];
        }
    }
    __syncthreads();
    const int row = top + int(threadIdx.x), left = int(blockIdx.x) * kTile;
    for (int i = int(threadIdx.y); i < kTile; i += kTileRows) {
        if (left + i < columns && row < rows) {
            to[image + Index(left + i) * rows + row] = tile[threadIdx.x][i];
        }
    }
}

}  // namespace graphc
