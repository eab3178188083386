// The product of two matrices, each read along any strides: right, and slow. What is fast is a
// library's; this checks it, and stands in where it is missing.
#include "grid.h"
#include "storage.h"

namespace graphc {

constexpr int kSide = 16;  // of a block's square of threads

// `row`, `column`: elements from one to the next.
struct MatrixStrides {
    Index row, column;
};

// c[m,n] = sum over k of a[m,k] b[k,n] + bias[n]; c is dense, `bias` may be null. `adds`: to what
// is in c.
template <class Item, class Result>
__global__ void matrix_product(int rows, int columns, int depth, MatrixStrides a_strides,
                               MatrixStrides b_strides, int adds, const Item* a, const Item* b,
                               const Item* bias, Result* c) {
    __shared__ float a_tile[kSide][kSide], b_tile[kSide][kSide + 1];
    const int x = int(threadIdx.x), y = int(threadIdx.y);
    const int row = int(blockIdx.y) * kSide + y, column = int(blockIdx.x) * kSide + x;
    float sum = 0;
    for (int first = 0; first < depth; first += kSide) {
        const bool has_a = row < rows && first + x < depth;
        const bool has_b = column < columns && first + y < depth;
        const Index at_a = row * a_strides.row + (first + x) * a_strides.column;
        const Index at_b = (first + y) * b_strides.row + column * b_strides.column;
        a_tile[y][x] = has_a ? float(a[at_a]) : 0.0F;
        b_tile[y][x] = has_b ? float(b[at_b]) : 0.0F;
        __syncthreads();
        for (int k = 0; k < kSide; ++k) sum += a_tile[y][k] * b_tile[k][x];
        __syncthreads();
    }
    if (row >= rows || column >= columns) return;
    const Index at = Index(row) * columns + column;
    if (bias) sum += float(bias[column]);
    c[at] = Result(adds ? float(c[at]) + sum : sum);
}

}  // namespace graphc
