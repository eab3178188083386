// One unit of a long short-term memory cell, one step on and back; gates in the order i, f, o, g.
#pragma once

#include "device.h"

namespace graphc {

// Activated: i, f and o by a sigmoid, g by a tanh.
struct LstmGates {
    float in, kept, out, fresh;
};

// The new cell; where `cont` is 0, `before` is not looked at.
GRAPHC_DEVICE float lstm_cell(const LstmGates& gates, float cont, float before) {
    return gates.kept * cont * (cont == 0 ? 0.0F : before) + gates.in * gates.fresh;
}

// Gradients of the sums behind the gates, and of the cell before.
struct LstmSlopes {
    float in, kept, out, fresh, before;
};

// Given those of the cell and of h, dc and dh, and `shown`, the cell's tanh. With e = dc + dh o (1
// - shown^2): e g i (1 - i), e before cont f (1 - f), dh shown o (1 - o), e i (1 - g^2) and e cont
// f.
GRAPHC_DEVICE LstmSlopes lstm_slopes(const LstmGates& gates, float cont, float before, float shown,
                                     float dc, float dh) {
    const float in = gates.in, kept = gates.kept, out = gates.out, fresh = gates.fresh;
    const float held = kept * cont, e = dc + dh * out * (1 - shown * shown);
    return {e * fresh * in * (1 - in), e * before * held * (1 - kept), dh * shown * out * (1 - out),
            e * in * (1 - fresh * fresh), e * held};
}

}  // namespace graphc
