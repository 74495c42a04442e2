//! How strongly each frequency of the residues is present in the weights of a modular network.
//!
//! Source: Nanda et al. 2023 (arXiv:2301.05217), Sec. 4.1 (embedding) and 4.3 (the neuron-logit map).

use crate::{FourierBasis, Observation, ProbeError, lanes::dot, matmul::matmul};

/// Norm of the embedding `W_E: [p, d_model]` at each frequency: `n_k = sqrt(|F_cos,k W_E|^2 + |F_sin,k W_E|^2)`.
///
/// Rows of `embed.tokens` from `p` on (the token `=`) are left out.
///
/// # Errors
/// [`ProbeError::Missing`] without a parameter `embed.tokens`, [`ProbeError::Shape`] if it has fewer rows than `p`.
pub fn embedding_norms(o: &Observation<'_>, basis: &FourierBasis) -> Result<Vec<f64>, ProbeError> {
    let w = o.matrix("embed.tokens")?;
    let (p, d) = (basis.p(), w.n_columns);
    if w.n_rows < p {
        return Err(ProbeError::Shape {
            what: "rows of embed.tokens".into(),
            expected: p,
            found: w.n_rows,
        });
    }
    let mut transformed = vec![0.0; p * d];
    matmul([p, p, d], basis.rows(), &w.values[..p * d], &mut transformed);
    let sq_rows: Vec<f64> = transformed.chunks_exact(d).map(|row| dot(row, row)).collect();
    Ok(basis.norms(&sq_rows))
}

/// Norm of the neuron-logit map `W_L = W_out W_U: [d_mlp, p]` at each frequency of the output axis.
///
/// Classes from `p` on are left out; `W_out` is that of the deepest block.
///
/// # Errors
/// [`ProbeError::Missing`] without `*.mlp.w_out` and `unembed.w`, [`ProbeError::Shape`] if they do not fit.
pub fn output_norms(o: &Observation<'_>, basis: &FourierBasis) -> Result<Vec<f64>, ProbeError> {
    let (w_out, w_u) = (o.last_matrix(".mlp.w_out")?, o.matrix("unembed.w")?);
    let (p, d, m) = (basis.p(), w_u.n_rows, w_out.n_rows);
    if w_out.n_columns != d {
        return Err(ProbeError::Shape {
            what: format!("columns of {}", w_out.name),
            expected: d,
            found: w_out.n_columns,
        });
    }
    if w_u.n_columns < p {
        return Err(ProbeError::Shape {
            what: "columns of unembed.w".into(),
            expected: p,
            found: w_u.n_columns,
        });
    }
    // Transform first, multiply then: [d, p] is smaller than [m, p].
    let mut columns = vec![0.0; p * p];
    for (r, row) in basis.rows().chunks_exact(p).enumerate() {
        for (x, &v) in row.iter().enumerate() {
            columns[x * p + r] = v;
        }
    }
    let residues: Vec<f32> =
        w_u.values.chunks_exact(w_u.n_columns).flat_map(|row| &row[..p]).copied().collect();
    let (mut half, mut transformed) = (vec![0.0; d * p], vec![0.0; m * p]);
    matmul([d, p, p], &residues, &columns, &mut half);
    matmul([m, d, p], w_out.values, &half, &mut transformed);
    let mut sq_columns = vec![0.0; p];
    for row in transformed.chunks_exact(p) {
        for (sum, &x) in sq_columns.iter_mut().zip(row) {
            *sum += f64::from(x) * f64::from(x);
        }
    }
    Ok(basis.norms(&sq_columns))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ParamView;
    use ontogeny_core::Step;

    #[test]
    fn a_planted_frequency_has_all_the_norm_on_either_side() {
        let (p, d, m) = (13, 4, 6);
        let basis = FourierBasis::new(p);
        // Token "=" and a class beyond p carry junk that must not be seen.
        let mut embed: Vec<f32> = vec![0.0; (p + 1) * d];
        let mut unembed: Vec<f32> = vec![9.0; d * (p + 1)];
        for x in 0..p {
            embed[x * d + 1] = 3.0 * basis.cos(5, x) as f32;
            embed[x * d + 2] = 4.0 * basis.sin(5, x) as f32;
            for j in 0..d {
                unembed[j * (p + 1) + x] = if j == 2 { basis.cos(4, x) as f32 } else { 0.0 };
            }
        }
        embed[p * d..].fill(100.0);
        let w_out: Vec<f32> = (0..m * d).map(|i| f32::from(u8::from(i % d == 2))).collect();
        let shapes = [[p + 1, d], [m, d], [d, p + 1]];
        let mut o = Observation::new(Step(0));
        o.params = vec![
            ParamView { name: "embed.tokens", shape: &shapes[0], values: &embed },
            ParamView { name: "blocks.0.mlp.w_out", shape: &shapes[1], values: &w_out },
            ParamView { name: "unembed.w", shape: &shapes[2], values: &unembed },
        ];
        let expect = |norms: Vec<f64>, at: usize, norm: f64| {
            for (k, n) in (1..).zip(norms) {
                let expected = if k == at { norm } else { 0.0 };
                assert!((n - expected).abs() < 1e-5, "{n} at {k}, not {expected}");
            }
        };
        // |cos|^2 over the residues is p/2.
        expect(embedding_norms(&o, &basis).unwrap(), 5, 5.0 * (p as f64 / 2.0).sqrt());
        expect(output_norms(&o, &basis).unwrap(), 4, (m as f64 * p as f64 / 2.0).sqrt());
    }
}
