// Part of a loop file (see loops.h): operands into blocks of channels (kernels/blocked.h) and back.
// Lanes are channels of one block, which is a whole number of vectors.

namespace graphc::GRAPHC_LOOPS {

namespace {

// Turns Lanes::width channels of as many pixels, or of fewer where `channels` or `count` say so.
inline void block_tile(const float* x, Index channel_step, Index channels, Index count, Index lanes,
                       float* y) {
    Lanes::Reg rows[Lanes::width];
    if (channels >= Lanes::width && count >= Lanes::width) {
        for (int c = 0; c < Lanes::width; ++c) rows[c] = Lanes::load(x + c * channel_step);
        Lanes::transpose(rows);
        for (int i = 0; i < Lanes::width; ++i) Lanes::store(y + i * lanes, rows[i]);
        return;
    }
    const int there = int(lesser(count, Lanes::width));
    for (int c = 0; c < Lanes::width; ++c) {
        rows[c] = c < channels ? Lanes::load_first(x + c * channel_step, there) : Lanes::zero();
    }
    Lanes::transpose(rows);
    for (int i = 0; i < there; ++i) Lanes::store(y + i * lanes, rows[i]);
}

void block(const float* x, Index channel_step, Index channels, Index lanes, Index count, float* y) {
    if (count == 1) {  // then channels, rather than pixels, may lie side by side
        for (Index c = 0; c < channels; ++c) y[c] = x[c * channel_step];
        for (Index c = channels; c < lanes; ++c) y[c] = 0;
        return;
    }
    for (Index i = 0; i < count; i += Lanes::width) {
        for (Index c = 0; c < lanes; c += Lanes::width) {
            block_tile(x + c * channel_step + i, channel_step, channels - c, count - i, lanes,
                       y + i * lanes + c);
        }
    }
}

inline void unblock_tile(const float* x, Index lanes, Index channels, Index count, float* y,
                         Index channel_step) {
    Lanes::Reg rows[Lanes::width];
    if (channels >= Lanes::width && count >= Lanes::width) {
        for (int i = 0; i < Lanes::width; ++i) rows[i] = Lanes::load(x + i * lanes);
        Lanes::transpose(rows);
        for (int c = 0; c < Lanes::width; ++c) Lanes::store(y + c * channel_step, rows[c]);
        return;
    }
    const int there = int(lesser(count, Lanes::width));
    for (int i = 0; i < Lanes::width; ++i)
        rows[i] = i < there ? Lanes::load(x + i * lanes) : rows[0];
    Lanes::transpose(rows);
    for (int c = 0; c < Lanes::width && c < channels; ++c) {
        Lanes::store_first(y + c * channel_step, rows[c], there);
    }
}

void unblock(const float* x, Index lanes, Index channels, Index count, float* y,
             Index channel_step) {
    if (count == 1) {
        for (Index c = 0; c < channels; ++c) y[c * channel_step] = x[c];
        return;
    }
    for (Index i = 0; i < count; i += Lanes::width) {
        for (Index c = 0; c < channels; c += Lanes::width) {
            unblock_tile(x + i * lanes + c, lanes, channels - c, count - i,
                         y + c * channel_step + i, channel_step);
        }
    }
}

}  // namespace

}  // namespace graphc::GRAPHC_LOOPS
