/* forward.c: THE forward pass, once for every backend. It reads like the paper (arXiv:2402.17764,
 * arXiv:2504.12285; docs/model.md has the maths) and knows neither kernels nor devices. What a family
 * does not have is a weight that is NULL.
 */
#include "model/forward.h"

/* y = x w^T + b */
static void linear(const bitnet_model *m, bitnet_buf *y, const bitnet_buf *x,
                   const bitnet_weight *w, const bitnet_weight *b, int32_t n_tok) {
    m->ops->matmul(m->backend, y, x, w, n_tok);
    if (b) m->ops->bias(m->backend, y, b, n_tok);
}

static void attention(const bitnet_model *m, const bitnet_layer *l, const bitnet_step *s,
                      int32_t layer) {
    const bitnet_backend_ops *op = m->ops;
    const bitnet_hparams *hp = &m->hp;
    const bitnet_acts *act = s->act;
    bitnet_backend *be = m->backend;
    int32_t n = s->n_tok;

    op->rmsnorm(be, act->h, act->x, l->attn_norm, n, hp->norm_eps);
    linear(m, act->q, act->h, l->attn_q, l->attn_q_bias, n); /* all three share one quantised h */
    linear(m, act->k, act->h, l->attn_k, l->attn_k_bias, n);
    linear(m, act->v, act->h, l->attn_v, l->attn_v_bias, n);
    op->rope(be, act->q, hp->n_head, hp->head_dim, s->pos, n, s->rope);
    op->rope(be, act->k, hp->n_head_kv, hp->head_dim, s->pos, n, s->rope);
    op->attend(be, act->a, act->q, act->k, act->v, s->kv, layer, s->pos, n);
    if (l->attn_sub_norm) op->rmsnorm(be, act->a, act->a, l->attn_sub_norm, n, hp->norm_eps);
    linear(m, act->h, act->a, l->attn_output, l->attn_output_bias, n);
    op->add(be, act->x, act->h, (size_t)n * (size_t)hp->n_embd);
}

static void feed_forward(const bitnet_model *m, const bitnet_layer *l, const bitnet_step *s) {
    const bitnet_backend_ops *op = m->ops;
    const bitnet_hparams *hp = &m->hp;
    const bitnet_acts *act = s->act;
    bitnet_backend *be = m->backend;
    int32_t n = s->n_tok;

    op->rmsnorm(be, act->h, act->x, l->ffn_norm, n, hp->norm_eps);
    linear(m, act->gate, act->h, l->ffn_gate, NULL, n);
    linear(m, act->up, act->h, l->ffn_up, NULL, n);
    op->gate(be, act->gate, act->gate, act->up, (size_t)n * (size_t)hp->n_ff, hp->act);
    if (l->ffn_sub_norm) op->rmsnorm(be, act->gate, act->gate, l->ffn_sub_norm, n, hp->norm_eps);
    linear(m, act->h, act->gate, l->ffn_down, NULL, n);
    op->add(be, act->x, act->h, (size_t)n * (size_t)hp->n_embd);
}

bitnet_status bitnet_forward(const bitnet_model *m, const bitnet_step *s) {
    const bitnet_backend_ops *op = m->ops;
    const bitnet_acts *act = s->act;
    bitnet_backend *be = m->backend;
    const bitnet_weights *w = &m->weights;
    const bitnet_weight *head = w->output ? w->output : w->token_embd;

    bitnet_status st = op->begin(be, s->n_tok);
    if (st < 0) return st;
    op->embed(be, act->x, w->token_embd, s->tok, s->n_tok);
    for (int32_t i = 0; i < m->hp.n_layer; i++) {
        attention(m, &w->layer[i], s, i);
        feed_forward(m, &w->layer[i], s);
    }
    op->rmsnorm(be, act->x, act->x, w->output_norm, s->n_tok, m->hp.norm_eps);
    if (s->all_logits)
        op->matmul(be, act->logits, act->x, head, s->n_tok);
    else
        op->matmul_last(be, act->logits, act->x, head, s->n_tok);
    return op->end(be);
}
