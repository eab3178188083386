// What is pointwise in a step of LSTM and RNN, on and back; products are matrix_product's. States
// are (streams, units), `cont` (streams), 0 where a sequence starts.
#include "grid.h"
#include "lstm.h"
#include "storage.h"

namespace graphc {

__device__ inline float sigmoid(float x) { return 0.5F * tanhf(0.5F * x) + 0.5F; }

// The gates of a unit, at sums[4 units n + k units + d] for k = 0 .. 3, which perhaps are still
// sums.
template <class Item>
__device__ LstmGates gates_of(const Item* sums, Index units, Index i, bool are_sums) {
    const Item* const own = sums + i / units * 4 * units + i % units;
    const float in = float(own[0]), kept = float(own[units]);
    const float out = float(own[2 * units]), fresh = float(own[3 * units]);
    if (!are_sums) return {in, kept, out, fresh};
    return {sigmoid(in), sigmoid(kept), sigmoid(out), tanhf(fresh)};
}

template <class Item>
__device__ void put_gates(Item* sums, Index units, Index i, float in, float kept, float out,
                          float fresh) {
    Item* const own = sums + i / units * 4 * units + i % units;
    own[0] = Item(in);
    own[units] = Item(kept);
    own[2 * units] = Item(out);
    own[3 * units] = Item(fresh);
}

// c = cont f c_prev + i g, h = o tanh(c). `gates`, null or perhaps the sums themselves, gets them
// activated; `masked`, null or what the next step's product takes, h cont_next. c may be c_prev.
template <class Item>
__global__ void lstm_step(Index streams, Index units, const Item* sums, const Item* c_prev,
                          const Item* cont, const Item* cont_next, Item* gates, Item* c, Item* h,
                          Item* masked) {
    for (Index i = thread_in_grid(); i < streams * units; i += threads_of_grid()) {
        const LstmGates own = gates_of(sums, units, i, true);
        const float cell = lstm_cell(own, float(cont[i / units]), float(c_prev[i]));
        const float shown = own.out * tanhf(cell);
        if (gates) put_gates(gates, units, i, own.in, own.kept, own.out, own.fresh);
        c[i] = Item(cell);
        h[i] = Item(shown);
        if (masked) masked[i] = Item(shown * float(cont_next[i / units]));
    }
}

// lstm_slopes of every unit, dh = dy + cont_next `carried`, where `carried` may be null, and
// `cont_next`, which stands for ones then. `cell` null: the gates are sums, of which c is made.
// `dc` null: zeros. Of the results, those of the sums and of c_prev, one may be null; `c_prev` is
// looked at for the first alone. Results may lie over gates and dc.
template <class Item>
__global__ void lstm_back(Index streams, Index units, const Item* gates, const Item* cell,
                          const Item* c_prev, const Item* cont, const Item* dy, const Item* carried,
                          const Item* cont_next, const Item* dc, Item* dsums, Item* dc_prev) {
    for (Index i = thread_in_grid(); i < streams * units; i += threads_of_grid()) {
        const LstmGates own = gates_of(gates, units, i, cell == nullptr);
        const float going_on = float(cont[i / units]), before = c_prev ? float(c_prev[i]) : 0.0F;
        const float shown = tanhf(cell ? float(cell[i]) : lstm_cell(own, going_on, before));
        float dh = float(dy[i]);
        if (carried) dh += float(carried[i]) * (cont_next ? float(cont_next[i / units]) : 1.0F);
        const LstmSlopes slopes =
            lstm_slopes(own, going_on, before, shown, dc ? float(dc[i]) : 0.0F, dh);
        if (dsums) put_gates(dsums, units, i, slopes.in, slopes.kept, slopes.out, slopes.fresh);
        if (dc_prev) dc_prev[i] = Item(slopes.before);
    }
}

// h = tanh(h); `masked`, null or what the next step's product takes, h cont_next.
template <class Item>
__global__ void rnn_step(Index streams, Index units, const Item* cont_next, Item* h, Item* masked) {
    for (Index i = thread_in_grid(); i < streams * units; i += threads_of_grid()) {
        const float state = tanhf(float(h[i]));
        h[i] = Item(state);
        if (masked) masked[i] = Item(state * float(cont_next[i / units]));
    }
}

// sums = (sums + cont_next carried) (1 - h^2), `carried` and `cont_next` as in lstm_back.
template <class Item>
__global__ void rnn_back(Index streams, Index units, const Item* h, const Item* carried,
                         const Item* cont_next, Item* sums) {
    for (Index i = thread_in_grid(); i < streams * units; i += threads_of_grid()) {
        float slope = float(sums[i]);
        if (carried) slope += float(carried[i]) * (cont_next ? float(cont_next[i / units]) : 1.0F);
        sums[i] = Item(slope * (1 - float(h[i]) * float(h[i])));
    }
}

}  // namespace graphc
