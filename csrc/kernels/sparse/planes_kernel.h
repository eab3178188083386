// PlanesKernel: a sparse convolution, tile by tile of the windows of planes. What kernels have in
// common that differ by how their weight is laid out.
#pragma once

#include <algorithm>

#include "kernels/parallel.h"
#include "kernels/sparse/product.h"
#include "kernels/split.h"

namespace graphc::sparse {

// Layout: made of Told; has loops, planes, tile() (vectors at most) and size() of the packed
// weight.
template <class Layout>
class PlanesKernel : public Kernel {
  public:
    std::size_t packed() const final { return std::size_t(layout_.size()); }
    std::size_t workspace() const final {
        return source_.workspace() + sum_bytes() * std::size_t(threads_);
    }

  protected:
    // `ns`: what a weight takes for each window.
    PlanesKernel(const Problem& problem, double ns)
        : told_(problem.attrs),
          operands_(problem, told_),
          layout_(told_),
          tiles_(layout_.planes, layout_.loops.width, layout_.tile(), operands_),
          threads_(threads_for(ns * double(told_.room()) * double(layout_.planes.count()),
                               problem.threads)),
          source_(layout_.planes, operands_, told_.field, threads_) {
        const Spec& packed = problem.reads[1];
        if (packed.size() > 0) require_flat(packed, layout_.size(), "packed weight");
    }

    // Rows of sums that each thread has.
    virtual std::int64_t sum_rows() const = 0;
    std::int64_t row() const { return tiles_.most() * layout_.loops.width; }
    // Are all vectors of a tile read as a whole?
    bool is_whole(std::int64_t tile) const {
        return source_.workspace() > 0 || tiles_.last(tile) == layout_.loops.width;
    }

    // body(x, group of images, tile, part, sums) for each part of each tile.
    template <class Body>
    void each_tile(const Run& run, std::int64_t parts, const Body& body) const {
        for (std::int64_t group = 0; group < layout_.planes.groups(); ++group) {
            const float* x = source_.prepare(run, group);
            share_out(tiles_.count() * parts, std::min(run.threads, threads_),
                      [&](std::int64_t task, int thread) {
                          char* own = run.workspace + source_.workspace() +
                                      sum_bytes() * std::size_t(thread);
                          body(x, group, task / parts, task % parts, reinterpret_cast<float*>(own));
                      });
        }
    }

    Told told_;
    Operands operands_;
    Layout layout_;
    Tiles tiles_;
    int threads_;
    Source source_;

  private:
    std::size_t sum_bytes() const { return std::size_t((sum_rows() * row() * 4 + 63) / 64 * 64); }
};

}  // namespace graphc::sparse
