// What LSTM, LSTMUnit and RNN kernels share: operands found by role, sums of inputs over a whole
// sequence, and one step of an LSTM cell.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "core/kernel.h"
#include "kernels/dot_products.h"
#include "kernels/spans.h"

namespace graphc {

// Operand numbers by role, from a text attribute that lists the roles.
class Roles {
  public:
    Roles(const Attrs& attrs, const char* attribute);

    int find(const std::string& role) const;  // -1: there is none
    int at(const std::string& role) const;    // throws Error (GC-A001) if there is none
    std::size_t count() const { return numbers_.size(); }

  private:
    std::map<std::string, int> numbers_;
};

// The extents of a recurrent layer: steps, streams, units, and rows of its weights.
struct SequenceShape {
    std::int64_t steps = 1, streams = 0, units = 0, rows = 0;
};

// Gives out parts of a workspace, each aligned to 64 bytes.
class Room {
  public:
    std::size_t take(std::int64_t floats);  // where it starts, in bytes
    std::size_t size() const { return size_; }

  private:
    std::size_t size_ = 0;
};

inline float* floats_at(char* workspace, std::size_t start) {
    return reinterpret_cast<float*>(workspace + start);
}

// sums[t,n,:] = W_x x[t,n] + b + W_x_static x_static[n], then + W_h cont[t,n] h[t-1,n] step by
// step. Reads x, cont, h0 and the four blobs by the names given.
class RecurrentSums {
  public:
    struct Names {
        const char *input, *bias, *fixed, *hidden;
    };

    // Throws Error (GC-A001) for operands that contradict.
    RecurrentSums(const Problem& problem, const Roles& reads, const SequenceShape& shape,
                  const Names& names, Room& room);

    void project(const Run& run, float* sums) const;
    // Adds what the state `h` before step t contributes to `sums`, those of step t.
    void recur(const Run& run, std::int64_t t, const float* h, float* sums) const;

  private:
    SequenceShape shape_;
    int x_, cont_, input_, bias_, hidden_, fixed_x_, fixed_;
    std::int64_t inputs_, fixed_inputs_;
    DotProducts projection_, fixed_projection_, recurrence_;
    std::size_t dots_at_, fixed_at_, masked_at_;
};

// gates = sigmoid of the first three blocks of `sums`, tanh of the fourth; may be `sums` itself.
void activate_gates(const Spans& spans, const float* sums, float* gates, std::int64_t units);

// c = cont f c_prev + i g, h = o tanh(c); c may be c_prev. Where cont is 0, c_prev is not looked
// at.
void step_cell(const Spans& spans, const float* gates, const float* c_prev, float cont, float* c,
               float* h, std::int64_t units);

// Step `step_cell` back, of one stream. Reads the gates, t = tanh(c), c_prev, cont and the gradient
// dh of h; `dc` holds that of c and then that of c_prev. With e = dc + dh o (1 - t^2), the sums
// behind the gates have, of i, e g i (1 - i), of f e c_prev cont f (1 - f), of o dh t o (1 - o), of
// g e i (1 - g^2); c_prev has e cont f. `sums` may be the gates.
struct CellBack {
    const float *gates, *shown, *c_prev, *dh;
    float cont;
};
void step_cell_back(const CellBack& cell, float* sums, float* dc, std::int64_t units);

// As many threads as so much elementwise work deserves.
int threads_of(std::int64_t elements, int threads);

}  // namespace graphc
