#include "kernels/recurrent_gradient.h"

#include <algorithm>
#include <cstring>

#include "kernels/spatial_options.h"
#include "kernels/split.h"

namespace graphc {

ImplicitGemm TurnedProduct::made(std::int64_t rows, std::int64_t outputs, std::int64_t depth,
                                 int threads) {
    ImplicitGemmShape shape = product_shape(rows, outputs, depth);
    shape.threads = threads;
    return ImplicitGemm(std::move(shape));
}

TurnedProduct::TurnedProduct(std::int64_t rows, std::int64_t outputs, std::int64_t depth,
                             int threads, Room& room)
    : product_(made(rows, outputs, depth, threads)),
      places_{0, 1, outputs, {0}},
      weights_(double(outputs) * double(depth)),
      packed_at_(room.take(product_.packed_size())),
      own_at_(room.take(std::int64_t(product_.workspace() / sizeof(float)))) {}

void TurnedProduct::pack(const Run& run, const float* weight) const {
    product_.pack(weight, places_, floats_at(run.workspace, packed_at_),
                  threads_for(0.5 * weights_, run.threads));
}

void TurnedProduct::multiply(const Run& run, const float* x, float* y) const {
    ImplicitGemmRun job{};
    job.x = x;
    job.packed = floats_at(run.workspace, packed_at_);
    job.y = y;
    job.workspace = run.workspace + own_at_;
    job.threads = run.threads;
    product_.run(job);
}

void StepBack::step(const Run& run, const float* dsums, const float* cont, float* dh) const {
    product_.multiply(run, dsums, dh);
    for (std::int64_t n = 0; n < shape_.streams; ++n) {
        for (std::int64_t d = 0; d < shape_.units; ++d) dh[n * shape_.units + d] *= cont[n];
    }
}

SequenceShape shape_behind(const Problem& problem, std::size_t reads, std::int64_t units) {
    require(problem.reads.size() == reads && problem.writes.size() == 1, "number of operands");
    const Spec& dsums = problem.reads[0];
    require(dsums.rank == 3 && dsums.dims[0] >= 1, "dsums");
    require_flat(dsums, dsums.size(), "dsums");
    return {dsums.dims[0], dsums.dims[1], units, dsums.dims[2]};
}

std::int64_t columns_of(const Problem& problem, int first) {
    require(problem.writes.size() == 1 && problem.writes[0].rank >= first, "the gradient");
    return problem.writes[0].count(first, problem.writes[0].rank);
}

RowsGradient::RowsGradient(const Problem& problem, const SequenceShape& shape, std::int64_t depth,
                           bool adds, Room& room)
    : rows_(shape.rows),
      columns_(shape.units),
      adds_(adds),
      product_(rows_, columns_, depth, problem.threads),
      at_(room.take(std::int64_t(product_.workspace() / sizeof(float)))) {
    require_flat(problem.writes[0], rows_ * columns_, "the gradient");
    if (adds) require_flat(problem.reads.back(), rows_ * columns_, "the gradient");
}

void RowsGradient::run(const Run& run, const float* a, const float* b) const {
    product_.run(
        {a, 1, rows_, b, columns_, run.out(0), columns_, adds_, run.workspace + at_, run.threads});
}

void start_from(const Run& run, int given, std::int64_t count, float* gradient) {
    if (given < 0) {
        std::fill_n(gradient, count, 0.0f);
    } else if (count > 0) {
        std::memcpy(gradient, run.in(given), std::size_t(count) * sizeof(float));
    }
}

}  // namespace graphc
