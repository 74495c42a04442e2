//! A network as a chain of affine maps and ReLUs, for whoever bounds it.

/// One link of a chain. Parameters are called by their names in the network's layout.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// `x w + b`; images are flattened first.
    Dense {
        /// `[d_in, d_out]`.
        weight: String,
        /// `[d_out]`.
        bias: Option<String>,
    },
    /// Cross-correlation, zero-padded on each side.
    Conv {
        /// `[c_out, c_in, kh, kw]`.
        weight: String,
        /// `[c_out]`.
        bias: Option<String>,
        /// Pixels between two windows.
        stride: usize,
        /// Zeros on each side.
        padding: usize,
    },
    /// `max(x, 0)`.
    Relu,
}

impl Stage {
    /// An affine map of rows with a bias: `<stem>.w`, `<stem>.b`.
    pub fn dense(stem: &str) -> Self {
        Self::Dense { weight: format!("{stem}.w"), bias: Some(format!("{stem}.b")) }
    }

    /// A convolution with a bias: `<stem>.w`, `<stem>.b`.
    pub fn conv(stem: &str, stride: usize, padding: usize) -> Self {
        let (weight, bias) = (format!("{stem}.w"), Some(format!("{stem}.b")));
        Self::Conv { weight, bias, stride, padding }
    }
}
