#include "kernels/recurrent.h"

#include <algorithm>
#include <cstring>
#include <sstream>

#include "kernels/parallel.h"
#include "kernels/spatial_options.h"
#include "kernels/split.h"
#include "lstm.h"

namespace graphc {

Roles::Roles(const Attrs& attrs, const char* attribute) {
    std::istringstream text(attrs.text(attribute));
    std::string role;
    for (int i = 0; text >> role; ++i) require(numbers_.emplace(role, i).second, role);
}

int Roles::find(const std::string& role) const {
    const auto found = numbers_.find(role);
    return found == numbers_.end() ? -1 : found->second;
}

int Roles::at(const std::string& role) const {
    const int found = find(role);
    require(found >= 0, "no " + role);
    return found;
}

std::size_t Room::take(std::int64_t floats) {
    const std::size_t start = size_;
    size_ += (std::size_t(floats) * sizeof(float) + 63) / 64 * 64;
    return start;
}

namespace {

std::int64_t inputs_of(const Problem& problem, int operand, int first) {
    if (operand < 0) return 0;
    const Spec& x = problem.reads[std::size_t(operand)];
    require(x.rank > first, "axes of x");
    return x.count(first, x.rank);
}

}  // namespace

RecurrentSums::RecurrentSums(const Problem& problem, const Roles& reads, const SequenceShape& shape,
                             const Names& names, Room& room)
    : shape_(shape),
      x_(reads.at("x")),
      cont_(reads.at("cont")),
      input_(reads.at(names.input)),
      bias_(reads.at(names.bias)),
      hidden_(reads.at(names.hidden)),
      fixed_x_(reads.find("x_static")),
      fixed_(fixed_x_ < 0 ? -1 : reads.at(names.fixed)),
      inputs_(inputs_of(problem, x_, 2)),
      fixed_inputs_(inputs_of(problem, fixed_x_, 1)),
      projection_(shape.steps * shape.streams, shape.rows, inputs_, problem.threads),
      fixed_projection_(fixed_x_ < 0 ? 0 : shape.streams, shape.rows, fixed_inputs_,
                        problem.threads),
      recurrence_(shape.streams, shape.rows, shape.units, problem.threads) {
    const auto check = [&](int operand, std::int64_t size, const char* what) {
        require_flat(problem.reads[std::size_t(operand)], size, what);
    };
    const std::int64_t all = shape.steps * shape.streams;
    check(x_, all * inputs_, "x");
    check(cont_, all, "cont");
    check(input_, shape.rows * inputs_, names.input);
    check(bias_, shape.rows, names.bias);
    check(hidden_, shape.rows * shape.units, names.hidden);
    if (fixed_x_ >= 0) {
        check(fixed_x_, shape.streams * fixed_inputs_, "x_static");
        check(fixed_, shape.rows * fixed_inputs_, names.fixed);
    }
    const std::size_t dots =
        std::max({projection_.workspace(), fixed_projection_.workspace(), recurrence_.workspace()});
    dots_at_ = room.take(std::int64_t(dots / sizeof(float)));
    fixed_at_ = room.take(fixed_x_ < 0 ? 0 : shape.streams * shape.rows);
    masked_at_ = room.take(shape.streams * shape.units);
}

void RecurrentSums::project(const Run& run, float* sums) const {
    const std::int64_t block = shape_.streams * shape_.rows;
    DotProductsRun job{};
    job.x = run.in(x_);
    job.x_row = inputs_;
    job.w = run.in(input_);
    job.bias = run.in(bias_);
    job.y = sums;
    job.y_row = shape_.rows;
    job.workspace = run.workspace + dots_at_;
    job.threads = run.threads;
    projection_.run(job);
    if (fixed_x_ < 0) return;
    float* fixed = floats_at(run.workspace, fixed_at_);
    job.x = run.in(fixed_x_);
    job.x_row = fixed_inputs_;
    job.w = run.in(fixed_);
    job.bias = nullptr;
    job.y = fixed;
    fixed_projection_.run(job);
    split(shape_.steps, threads_of(shape_.steps * block, run.threads),
          [&](std::int64_t first, std::int64_t stop) {
              for (float* to = sums + first * block; to < sums + stop * block; to += block) {
                  for (std::int64_t i = 0; i < block; ++i) to[i] += fixed[i];
              }
          });
}

void RecurrentSums::recur(const Run& run, std::int64_t t, const float* h, float* sums) const {
    const float* cont = run.in(cont_) + t * shape_.streams;
    float* masked = floats_at(run.workspace, masked_at_);
    for (std::int64_t n = 0; n < shape_.streams; ++n) {
        for (std::int64_t d = 0; d < shape_.units; ++d) {
            masked[n * shape_.units + d] = h[n * shape_.units + d] * cont[n];
        }
    }
    DotProductsRun job{};
    job.x = masked;
    job.x_row = shape_.units;
    job.w = run.in(hidden_);
    job.add = job.y = sums;
    job.add_row = job.y_row = shape_.rows;
    job.workspace = run.workspace + dots_at_;
    job.threads = run.threads;
    recurrence_.run(job);
}

void activate_gates(const Spans& spans, const float* sums, float* gates, std::int64_t units) {
    const std::int64_t sigmoids = 3 * units;
    for (std::int64_t i = 0; i < sigmoids; ++i) gates[i] = 0.5f * sums[i];
    if (gates != sums) {
        std::memcpy(gates + sigmoids, sums + sigmoids, std::size_t(units) * sizeof(float));
    }
    spans.unary_of(Opcode::tanh)(gates, gates, 4 * units);
    for (std::int64_t i = 0; i < sigmoids; ++i) gates[i] = 0.5f * gates[i] + 0.5f;
}

void step_cell(const Spans& spans, const float* gates, const float* c_prev, float cont, float* c,
               float* h, std::int64_t units) {
    const float *i = gates, *f = gates + units, *o = gates + 2 * units, *g = gates + 3 * units;
    for (std::int64_t d = 0; d < units; ++d) {
        c[d] = lstm_cell({i[d], f[d], o[d], g[d]}, cont, c_prev[d]);
    }
    spans.unary_of(Opcode::tanh)(h, c, units);
    for (std::int64_t d = 0; d < units; ++d) h[d] *= o[d];
}

void step_cell_back(const CellBack& cell, float* sums, float* dc, std::int64_t units) {
    const float *i = cell.gates, *f = i + units, *o = f + units, *g = o + units;
    const float *t = cell.shown, *c_prev = cell.c_prev, *dh = cell.dh, cont = cell.cont;
    // Whatever may be the same array is so element by element.
    _Pragma("GCC ivdep") for (std::int64_t d = 0; d < units; ++d) {
        const LstmSlopes slopes =
            lstm_slopes({i[d], f[d], o[d], g[d]}, cont, c_prev[d], t[d], dc[d], dh[d]);
        sums[d] = slopes.in;
        sums[units + d] = slopes.kept;
        sums[2 * units + d] = slopes.out;
        sums[3 * units + d] = slopes.fresh;
        dc[d] = slopes.before;
    }
}

int threads_of(std::int64_t elements, int threads) {
    return threads_for(2.0 * double(elements), threads);
}

}  // namespace graphc
