//! The layers of a network, in `f64`, as products forwards and backwards.

use super::CertificateError;
use super::rounding::check_terms;
use crate::ParamView;
use crate::matmul::matmul_f64;
use ontogeny_engine::Stage;

/// A layer.
#[derive(Debug)]
pub(super) enum Step {
    Affine(Box<Affine>),
    Relu,
}

/// `y = W x + b`.
#[derive(Debug)]
pub(super) struct Affine {
    pub(super) n_in: usize,
    pub(super) n_out: usize,
    /// Products in the sum that is one output, at most.
    pub(super) fan_in: usize,
    /// Products in the sum that is one coefficient of an input, at most.
    pub(super) fan_out: usize,
    /// One per output; of a convolution one per channel.
    bias: Vec<f64>,
    /// For products forwards: `[n_in, n_out]`; of a convolution `[c_out, window]`.
    w: Vec<f64>,
    abs: Vec<f64>,
    /// For products backwards: `[n_out, n_in]`; of a convolution `[window, c_out]`.
    back: Vec<f64>,
    conv: Option<Window>,
}

/// Where a convolution looks.
#[derive(Debug, Clone, Copy)]
struct Window {
    image: [usize; 3],
    kernel: [usize; 2],
    out: [usize; 2],
    stride: usize,
    padding: usize,
}

impl Window {
    fn rows(&self) -> usize {
        self.image[0] * self.kernel[0] * self.kernel[1]
    }

    fn pixels(&self) -> usize {
        self.out[0] * self.out[1]
    }

    /// Calls `f` with the row and column of a table `[rows, pixels]` and the place in the image, for every place of
    /// every window that is not padding.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the closure is the loop's body")]
    fn each(&self, mut f: impl FnMut(usize, usize)) {
        let ([c_in, h, w], [kh, kw], [oh, ow]) = (self.image, self.kernel, self.out);
        let inside = |at: usize, n: usize| at.checked_sub(self.padding).filter(|a| *a < n);
        for c in 0..c_in {
            for i in 0..kh {
                for j in 0..kw {
                    let row = ((c * kh + i) * kw + j) * oh * ow;
                    for y in 0..oh {
                        let Some(at_y) = inside(y * self.stride + i, h) else { continue };
                        for x in 0..ow {
                            if let Some(at_x) = inside(x * self.stride + j, w) {
                                f(row + y * ow + x, (c * h + at_y) * w + at_x);
                            }
                        }
                    }
                }
            }
        }
    }
}

impl Affine {
    pub(super) fn is_conv(&self) -> bool {
        self.conv.is_some()
    }

    /// `W x` for rows `x [n, n_in]`; `|W| x` if `is_abs`.
    pub(super) fn forward(&self, x: &[f64], n: usize, is_abs: bool) -> Vec<f64> {
        let mut y = vec![0.0; n * self.n_out];
        let w = if is_abs { &self.abs } else { &self.w };
        let Some(window) = self.conv else {
            matmul_f64([n, self.n_in, self.n_out], x, w, &mut y);
            return y;
        };
        let (rows, pixels) = (window.rows(), window.pixels());
        let mut columns = vec![0.0; rows * pixels];
        for (x, y) in x.chunks_exact(self.n_in).zip(y.chunks_exact_mut(self.n_out)) {
            window.each(|column, at| columns[column] = x[at]);
            matmul_f64([self.n_out / pixels, rows, pixels], w, &columns, y);
        }
        y
    }

    /// `Λ W` for rows `Λ [n, n_out]`.
    pub(super) fn backward(&self, rows_in: &[f64], n: usize) -> Vec<f64> {
        let mut out = vec![0.0; n * self.n_in];
        let Some(window) = self.conv else {
            matmul_f64([n, self.n_out, self.n_in], rows_in, &self.back, &mut out);
            return out;
        };
        let (rows, pixels) = (window.rows(), window.pixels());
        let mut columns = vec![0.0; rows * pixels];
        for (y, x) in rows_in.chunks_exact(self.n_out).zip(out.chunks_exact_mut(self.n_in)) {
            matmul_f64([rows, self.n_out / pixels, pixels], &self.back, y, &mut columns);
            window.each(|column, at| x[at] += columns[column]);
        }
        out
    }

    /// The constant of each output.
    pub(super) fn biases(&self) -> impl Iterator<Item = f64> {
        let each = self.conv.map_or(1, |w| w.pixels());
        self.bias.iter().flat_map(move |b| std::iter::repeat_n(*b, each))
    }
}

/// Reads the layers out of the parameters.
pub(super) fn read(
    input: [usize; 3],
    stages: &[Stage],
    params: &[ParamView<'_>],
) -> Result<Vec<Step>, CertificateError> {
    let mut shape = input;
    let mut steps = Vec::new();
    // Constants and prices of all layers are summed into one bound.
    let mut terms: usize = input.iter().product();
    for (stage, what) in stages.iter().enumerate() {
        let step = match what {
            Stage::Dense { weight, bias } => {
                let n_in = shape.iter().product();
                let w = find(params, weight)?;
                let &[rows, n_out] = w.shape else {
                    return Err(misfit(w, format!("two axes, the first of {n_in}")));
                };
                if rows != n_in || n_out == 0 {
                    return Err(misfit(w, format!("{n_in} rows")));
                }
                shape = [1, 1, n_out];
                let values = doubled(w)?;
                Step::Affine(Box::new(Affine {
                    n_in,
                    n_out,
                    fan_in: n_in,
                    fan_out: n_out,
                    bias: constants(params, bias.as_deref(), n_out)?,
                    abs: values.iter().map(|v| v.abs()).collect(),
                    back: transposed(&values, n_out),
                    w: values,
                    conv: None,
                }))
            }
            Stage::Conv { weight, bias, stride, padding } => {
                let window = window(find(params, weight)?, shape, *stride, *padding)?;
                let (w, n_in) = (find(params, weight)?, shape.iter().product());
                let c_out = w.shape[0];
                shape = [c_out, window.out[0], window.out[1]];
                let values = doubled(w)?;
                Step::Affine(Box::new(Affine {
                    n_in,
                    n_out: shape.iter().product(),
                    fan_in: window.rows(),
                    fan_out: c_out * window.kernel[0] * window.kernel[1],
                    bias: constants(params, bias.as_deref(), c_out)?,
                    abs: values.iter().map(|v| v.abs()).collect(),
                    back: transposed(&values, window.rows()),
                    w: values,
                    conv: Some(window),
                }))
            }
            Stage::Relu => Step::Relu,
            other => {
                return Err(CertificateError::Unsupported { stage, what: format!("{other:?}") });
            }
        };
        if let Step::Affine(a) = &step {
            check_terms(a.fan_in.max(a.fan_out))?;
        }
        terms = terms.saturating_add(3 * shape.iter().product::<usize>());
        steps.push(step);
    }
    check_terms(terms)?;
    Ok(steps)
}

fn window(
    w: &ParamView<'_>,
    image: [usize; 3],
    stride: usize,
    padding: usize,
) -> Result<Window, CertificateError> {
    let expected =
        || format!("four axes, the second of {}, no window larger than its image", image[0]);
    let &[c_out, c_in, kh, kw] = w.shape else { return Err(misfit(w, expected())) };
    let side = |n: usize, k: usize| Some((n + 2 * padding).checked_sub(k)? / stride.max(1) + 1);
    match (side(image[1], kh), side(image[2], kw)) {
        (Some(h), Some(width)) if c_in == image[0] && c_out * kh * kw > 0 && stride > 0 => {
            Ok(Window { image, kernel: [kh, kw], out: [h, width], stride, padding })
        }
        _ => Err(misfit(w, expected())),
    }
}

fn find<'a, 'p>(
    params: &'a [ParamView<'p>],
    name: &str,
) -> Result<&'a ParamView<'p>, CertificateError> {
    let missing = || CertificateError::Missing { name: name.to_owned() };
    let view = params.iter().find(|p| p.name == name).ok_or_else(missing)?;
    if view.shape.iter().product::<usize>() != view.values.len() {
        return Err(misfit(view, format!("room for its {} values", view.values.len())));
    }
    Ok(view)
}

fn misfit(view: &ParamView<'_>, expected: String) -> CertificateError {
    CertificateError::Shape { name: view.name.to_owned(), found: view.shape.to_vec(), expected }
}

fn doubled(view: &ParamView<'_>) -> Result<Vec<f64>, CertificateError> {
    if view.values.iter().all(|v| v.is_finite()) {
        Ok(view.values.iter().map(|v| f64::from(*v)).collect())
    } else {
        Err(CertificateError::NonFinite { name: view.name.to_owned() })
    }
}

fn constants(
    params: &[ParamView<'_>],
    name: Option<&str>,
    n: usize,
) -> Result<Vec<f64>, CertificateError> {
    let Some(name) = name else { return Ok(vec![0.0; n]) };
    let view = find(params, name)?;
    if view.shape == [n] { doubled(view) } else { Err(misfit(view, format!("{n} values"))) }
}

/// The transpose of a matrix of `n` columns.
fn transposed(values: &[f64], n: usize) -> Vec<f64> {
    (0..n).flat_map(|j| values.iter().skip(j).step_by(n).copied()).collect()
}
