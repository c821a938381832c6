/* forward.c: THE forward pass, once for every backend. It reads like the paper (arXiv:2402.17764,
 * arXiv:2504.12285; docs/model.md has the maths) and knows neither kernels nor devices. What a family
 * does not have is a weight that is NULL.
 */
#include "model/forward.h"

static void attention(const bitnet_model *m, const bitnet_layer *l, const bitnet_step *s,
                      int32_t layer) {
    const bitnet_backend_ops *op = m->ops;
    const bitnet_acts *act = s->act;
    bitnet_backend *be = m->backend;
    const bitnet_product qkv[] = {{act->q, l->attn_q, l->attn_q_bias},
                                  {act->k, l->attn_k, l->attn_k_bias},
                                  {act->v, l->attn_v, l->attn_v_bias}};
    const bitnet_product out = {act->x, l->attn_output, l->attn_output_bias};

    op->rmsnorm(be, act->h, act->x, l->attn_norm, m->hp.norm_eps);
    op->matmul(be, qkv, 3, act->h);
    op->attend(be, act->a, act->q, act->k, act->v, s->rope, layer);
    if (l->attn_sub_norm) op->rmsnorm(be, act->a, act->a, l->attn_sub_norm, m->hp.norm_eps);
    op->matmul_add(be, &out, act->a);
}

static void feed_forward(const bitnet_model *m, const bitnet_layer *l, const bitnet_step *s) {
    const bitnet_backend_ops *op = m->ops;
    const bitnet_acts *act = s->act;
    bitnet_backend *be = m->backend;
    const bitnet_product out = {act->x, l->ffn_down, NULL};

    op->rmsnorm(be, act->h, act->x, l->ffn_norm, m->hp.norm_eps);
    op->matmul_gate(be, act->gate, act->h, l->ffn_gate, l->ffn_up, m->hp.act);
    if (l->ffn_sub_norm) op->rmsnorm(be, act->gate, act->gate, l->ffn_sub_norm, m->hp.norm_eps);
    op->matmul_add(be, &out, act->gate);
}

static void head(const bitnet_model *m, const bitnet_step *s) {
    const bitnet_weights *w = &m->weights;
    m->ops->head(m->backend, s->act->logits, s->act->x, w->output ? w->output : w->token_embd,
                 s->row, s->n_row);
}

bitnet_status bitnet_forward_head(const bitnet_model *m, const bitnet_step *s) {
    bitnet_status st = m->ops->begin(m->backend, &s->batch);
    if (st < 0) return st;
    head(m, s);
    return m->ops->end(m->backend);
}

bitnet_status bitnet_forward(const bitnet_model *m, const bitnet_step *s) {
    const bitnet_backend_ops *op = m->ops;
    const bitnet_acts *act = s->act;
    bitnet_backend *be = m->backend;
    const bitnet_weights *w = &m->weights;

    bitnet_status st = op->begin(be, &s->batch);
    if (st < 0) return st;
    op->embed(be, act->x, w->token_embd);
    for (int32_t i = 0; i < m->hp.n_layer; i++) {
        attention(m, &w->layer[i], s, i);
        feed_forward(m, &w->layer[i], s);
    }
    if (s->n_row > 0) { /* a part of a prompt needs none */
        op->rmsnorm(be, act->x, act->x, w->output_norm, m->hp.norm_eps);
        head(m, s);
    }
    return op->end(be);
}
