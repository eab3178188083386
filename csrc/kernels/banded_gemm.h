// BandedGemm: the sum of implicit_gemm.h for convolutions in two dimensions that have long rows of
// windows and few outputs, where gathering each product's operands would take longer than it saves.
//
// A band of x is copied once, with its padding: of every channel one plane for each remainder that
// rows and columns leave when divided by the strides. Rows of a plane are a bit longer than rows of
// windows; counted in those, window f meets each tap at element f of a plane, shifted by an offset
// that depends on the tap only. So vectors of windows run over the ends of rows; the windows that
// lie between two rows are dropped at the end. Where rows are short, that is too many of them:
// then every column of taps has a plane of its own, whose rows are just as long as those of
// windows.
#pragma once

#include <memory>
#include <vector>

#include "kernels/implicit_gemm.h"

namespace graphc {

class BandedGemm final : public SpatialGemm {
  public:
    // Is it faster than ImplicitGemm? Both take the same packed weight.
    static bool suits(const ImplicitGemmShape& shape);

    explicit BandedGemm(ImplicitGemmShape shape);

    std::size_t workspace() const override;
    void run(const ImplicitGemmRun& run) const override;

  private:
    // Along one axis: how many elements apart neighbouring taps are, and where the first lies; in
    // which plane a tap meets its elements, shifted by how much, and which element that plane
    // begins with.
    struct Axis {
        Axis(const WindowAxis& axis, bool is_apart);
        std::int64_t planes() const { return is_apart ? taps : step; }
        std::int64_t plane(std::int64_t tap) const {
            return is_apart ? tap : tap * dilation % step;
        }
        std::int64_t plane_shift(std::int64_t tap) const {
            return is_apart ? 0 : tap * dilation / step;
        }
        std::int64_t first(std::int64_t plane) const {
            return low + (is_apart ? plane * dilation : plane);
        }
        std::int64_t reach() const { return plane_shift(taps - 1); }

        std::int64_t in, windows, step, taps, dilation, low;
        bool is_apart;  // has each tap a plane of its own?
    };
    struct Band;
    struct Narrow;

    // Of the time that the products take: what is added to it.
    static double cost(const ImplicitGemmShape& shape, bool is_apart);
    static bool is_apart(const ImplicitGemmShape& shape);
    void plan();
    void make_pieces();
    Piece row_piece(std::int64_t plane, std::int64_t at) const;
    Piece flat_piece(std::int64_t number, std::int64_t at) const;
    void make_offsets();
    void copy(const ImplicitGemmRun& run, const Band& band, std::int64_t channel,
              std::int64_t count) const;
    void multiply(const ImplicitGemmRun& run, const Band& band, const DepthBlock& block) const;
    void multiply_sliver(const ImplicitGemmRun& run, const Band& band, const DepthBlock& block,
                         std::int64_t output, std::int64_t count, const float* next,
                         Narrow& narrow) const;
    std::int64_t find_runs(std::int64_t first, std::int64_t stop, BandJob& job) const;

    ImplicitGemmShape shape_;
    Axis rows_, cols_;
    const GemmLoops& loops_;
    Slivers slivers_;
    std::int64_t taps_, depth_;
    std::int64_t x_row_;
    std::int64_t bands_ = 1;
    std::int64_t pitch_ = 0, height_ = 0;   // of a plane, in floats and in rows
    std::int64_t plane_ = 0, channel_ = 0;  // floats of a plane, and of a channel's planes
    bool is_flat_ = false;                  // is a plane copied as if it were one row?
    std::vector<Piece> pieces_;             // [plane of columns][vector of a plane's row]
    std::vector<std::int64_t> offsets_;     // [channel][tap], from the first channel's planes
    std::size_t own_bytes_ = 0;             // of each thread's workspace
};

// The faster of the two.
std::unique_ptr<SpatialGemm> spatial_gemm(ImplicitGemmShape shape);

}  // namespace graphc
