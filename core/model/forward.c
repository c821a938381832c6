/* forward.c: THE forward pass, once for every backend. It reads like the paper (arXiv:2402.17764,
 * arXiv:2504.12285; docs/model.md has the maths) and knows neither kernels nor devices.
 */
#include "model/forward.h"

bitnet_status bitnet_forward(const bitnet_model *m, const bitnet_acts *act, const bitnet_kv *kv,
                             const bitnet_rope *rope, const bitnet_token *tok, int32_t n_tok,
                             int32_t pos) {
    const bitnet_backend_ops *op = m->ops;
    bitnet_backend *be = m->backend;
    const bitnet_hparams *hp = &m->hp;
    const bitnet_weights *w = &m->weights;
    size_t n_x = (size_t)n_tok * (size_t)hp->n_embd, n_f = (size_t)n_tok * (size_t)hp->n_ff;

    bitnet_status st = op->begin(be, n_tok);
    if (st < 0) return st;
    op->embed(be, act->x, w->token_embd, tok, n_tok);

    for (int32_t i = 0; i < hp->n_layer; i++) {
        const bitnet_layer *l = &w->layer[i];

        op->rmsnorm(be, act->h, act->x, l->attn_norm, n_tok, hp->norm_eps);
        op->matmul(be, act->q, act->h, l->attn_q, n_tok); /* q, k and v share one quantised h */
        op->matmul(be, act->k, act->h, l->attn_k, n_tok);
        op->matmul(be, act->v, act->h, l->attn_v, n_tok);
        op->rope(be, act->q, hp->n_head, hp->head_dim, pos, n_tok, rope);
        op->rope(be, act->k, hp->n_head_kv, hp->head_dim, pos, n_tok, rope);
        op->attend(be, act->a, act->q, act->k, act->v, kv, i, pos, n_tok);
        if (m->arch->has_sub_norms)
            op->rmsnorm(be, act->a, act->a, l->attn_sub_norm, n_tok, hp->norm_eps);
        op->matmul(be, act->h, act->a, l->attn_output, n_tok);
        op->add(be, act->x, act->h, n_x);

        op->rmsnorm(be, act->h, act->x, l->ffn_norm, n_tok, hp->norm_eps);
        op->matmul(be, act->gate, act->h, l->ffn_gate, n_tok);
        op->matmul(be, act->up, act->h, l->ffn_up, n_tok);
        op->gate(be, act->gate, act->gate, act->up, n_f, m->arch->act);
        if (m->arch->has_sub_norms)
            op->rmsnorm(be, act->gate, act->gate, l->ffn_sub_norm, n_tok, hp->norm_eps);
        op->matmul(be, act->h, act->gate, l->ffn_down, n_tok);
        op->add(be, act->x, act->h, n_x);
    }

    op->rmsnorm(be, act->x, act->x, w->output_norm, n_tok, hp->norm_eps);
    op->matmul_last(be, act->logits, act->x, w->token_embd, n_tok);
    return op->end(be);
}
