//! What a probe may look at: plain host arrays that the trainer copied out at one step.

use crate::{ProbeError, certificate::Certifier, shared::Shared};
use ontogeny_core::Step;
use ontogeny_engine::{Attacked, Stage};

/// One parameter tensor.
#[derive(Debug, Clone, Copy)]
pub struct ParamView<'a> {
    /// Dotted name, e.g. `embed.tokens`, `blocks.0.mlp.w_out`, `unembed.w`.
    pub name: &'a str,
    /// Row-major shape, e.g. `[d_vocab, d_model]`.
    pub shape: &'a [usize],
    /// The values.
    pub values: &'a [f32],
}

/// A named table of activations of an evaluation set.
#[derive(Debug, Clone, Copy)]
pub struct Tap<'a> {
    /// Dotted name, e.g. `blocks.0.mlp.post`.
    pub name: &'a str,
    /// Units per example.
    pub width: usize,
    /// `[n_examples, width]`.
    pub values: &'a [f32],
}

/// A named part of an evaluation set, e.g. `train`, `test_mirror_out`, `skill.3`. Groups may overlap.
#[derive(Debug, Clone, Copy)]
pub struct Group<'a> {
    /// The name; readings of the group begin with it, so it is unique among the sets and groups of a run.
    pub name: &'a str,
    /// Which examples of the set belong to it.
    pub members: &'a [u32],
}

/// An evaluation set that the trainer already ran forward.
#[derive(Debug, Clone)]
pub struct EvalSet<'a> {
    /// The name, e.g. `grid`, `test`; readings of the whole set begin with it.
    pub name: &'a str,
    /// Classes per example.
    pub n_classes: usize,
    /// `[n_examples, n_classes]`.
    pub logits: &'a [f32],
    /// The right class of each example, `[n_examples]`.
    pub targets: &'a [u32],
    /// Activations recorded on the way.
    pub taps: Vec<Tap<'a>>,
    /// Parts that are read separately.
    pub groups: Vec<Group<'a>>,
}

/// The evaluation set named `grid` holds every ordered pair of residues: example `a * p + b` is the pair (a, b).
#[derive(Debug, Clone, Copy)]
pub struct ModularGrid<'a> {
    /// The modulus: an odd number of at least 3.
    pub p: usize,
    /// Whether the pair is trained on, `[p * p]`.
    pub is_train: &'a [bool],
}

/// The network as layers that certificates can follow.
#[derive(Debug, Clone, Copy)]
pub struct Chain<'a> {
    /// `[channels, height, width]` of an input; `[1, 1, width]` for a vector.
    pub input: [usize; 3],
    /// The layers.
    pub stages: &'a [Stage],
}

/// Examples of an evaluation set, from its first, whose surroundings are looked at: all images that differ by at most
/// `eps` in every pixel.
#[derive(Debug, Clone, Copy)]
pub struct Neighbourhood<'a> {
    /// The name of the set; readings begin with it.
    pub set: &'a str,
    /// The largest change of a pixel.
    pub eps: f64,
    /// `[n, numbers of an input]`.
    pub inputs: &'a [f32],
    /// `[n]`.
    pub targets: &'a [u32],
    /// What an attack on them found, if there was one.
    pub attacked: Option<&'a Attacked>,
}

/// What a probe may look at. It gets a shared reference to copies, so it cannot change the run.
///
/// Start from [`Observation::new`] and fill in what there is; what probes have in common is computed once for
/// each observation, so it must not be changed after the first of them has looked.
#[derive(Debug)]
pub struct Observation<'a> {
    /// When.
    pub step: Step,
    /// All trained tensors, in the order in which the flat vectors below are laid out.
    pub params: Vec<ParamView<'a>>,
    /// The gradient of the training batch, flat.
    pub grads: Option<&'a [f32]>,
    /// What the last optimizer update added to the parameters, flat.
    pub update: Option<&'a [f32]>,
    /// What the update before it added, flat.
    pub previous_update: Option<&'a [f32]>,
    /// Gradients of the mean losses of named batches, flat; empty unless a probe [reads them](crate::Probe::reads_gradients).
    pub named_grads: Vec<(&'a str, &'a [f32])>,
    /// Loss of the training batch at this step, in nats; NaN if there was none.
    pub train_loss: f64,
    /// Evaluation sets, already run forward.
    pub sets: Vec<EvalSet<'a>>,
    /// The network as layers, if it is one of those that certificates can follow.
    pub chain: Option<Chain<'a>>,
    /// Examples whose surroundings are looked at; empty unless a probe [reads them](crate::Probe::reads_neighbourhoods).
    pub neighbourhoods: Vec<Neighbourhood<'a>>,
    /// Present if the set `grid` is the whole table of a modular operation.
    pub modular: Option<ModularGrid<'a>>,
    pub(crate) shared: Shared,
}

impl<'a> Observation<'a> {
    /// An observation of nothing but the time; fill in what there is.
    pub fn new(step: Step) -> Self {
        Self {
            step,
            params: Vec::new(),
            grads: None,
            update: None,
            previous_update: None,
            named_grads: Vec::new(),
            train_loss: f64::NAN,
            sets: Vec::new(),
            chain: None,
            neighbourhoods: Vec::new(),
            modular: None,
            shared: Shared::default(),
        }
    }

    /// The parameter called `name`, checked to be a matrix whose shape fits its values.
    ///
    /// # Errors
    /// [`ProbeError::Missing`] without such a parameter, [`ProbeError::Shape`] if it is not such a matrix.
    pub fn matrix(&self, name: &str) -> Result<Matrix<'a>, ProbeError> {
        let view = self
            .params
            .iter()
            .rfind(|p| p.name == name)
            .ok_or_else(|| ProbeError::Missing { what: format!("parameter {name}") })?;
        Matrix::of(view)
    }

    /// The last matrix whose name ends in `suffix`: that of the deepest block.
    ///
    /// # Errors
    /// As [`Observation::matrix`].
    pub fn last_matrix(&self, suffix: &str) -> Result<Matrix<'a>, ProbeError> {
        let view = self
            .params
            .iter()
            .rfind(|p| p.name.ends_with(suffix))
            .ok_or_else(|| ProbeError::Missing { what: format!("parameter *{suffix}") })?;
        Matrix::of(view)
    }

    /// The evaluation set called `name`.
    ///
    /// # Errors
    /// [`ProbeError::Missing`] without one.
    pub fn set(&self, name: &str) -> Result<&EvalSet<'a>, ProbeError> {
        self.sets
            .iter()
            .find(|s| s.name == name)
            .ok_or_else(|| ProbeError::Missing { what: format!("evaluation set {name}") })
    }

    /// The network, ready to be certified.
    ///
    /// # Errors
    /// [`ProbeError::Missing`] if it is no chain of layers that can be followed, [`ProbeError::Certificate`] if its
    /// parameters do not fit.
    pub fn certifier(&self) -> Result<Certifier, ProbeError> {
        let missing = || ProbeError::Missing {
            what:
                "a network of dense layers, convolutions and relu alone (no other can be certified)"
                    .into(),
        };
        let chain = self.chain.ok_or_else(missing)?;
        Ok(Certifier::new(chain.input, chain.stages, &self.params)?)
    }

    /// The neighbourhoods.
    ///
    /// # Errors
    /// [`ProbeError::Missing`] without one.
    pub fn neighbourhoods(&self) -> Result<&[Neighbourhood<'a>], ProbeError> {
        let missing = || ProbeError::Missing { what: "examples with a threat around them".into() };
        if self.neighbourhoods.is_empty() { Err(missing()) } else { Ok(&self.neighbourhoods) }
    }

    /// The modular grid with its evaluation set, checked to fit each other.
    ///
    /// # Errors
    /// [`ProbeError::Missing`] outside a modular study, [`ProbeError::Shape`] if a table does not fit the modulus.
    pub fn grid(&self) -> Result<(ModularGrid<'a>, &EvalSet<'a>), ProbeError> {
        let grid =
            self.modular.ok_or_else(|| ProbeError::Missing { what: "a modular grid".into() })?;
        let set = self.set("grid")?;
        if grid.p < 3 || grid.p.is_multiple_of(2) {
            return Err(ProbeError::Shape {
                what: "modulus to an odd number of at least 3".into(),
                expected: 3,
                found: grid.p,
            });
        }
        let n_pairs = grid.p * grid.p;
        fits("is_train", n_pairs, grid.is_train.len())?;
        fits("targets of grid", n_pairs, set.targets.len())?;
        set.check()?;
        if set.n_classes < grid.p {
            return Err(ProbeError::Shape {
                what: "classes of grid to the modulus".into(),
                expected: grid.p,
                found: set.n_classes,
            });
        }
        Ok((grid, set))
    }
}

impl<'a> EvalSet<'a> {
    /// Checks that logits, targets and groups fit each other.
    ///
    /// # Errors
    /// [`ProbeError::Empty`] without examples or classes, [`ProbeError::Shape`] or [`ProbeError::Index`] if
    /// something does not fit.
    pub fn check(&self) -> Result<(), ProbeError> {
        let (n, c) = (self.targets.len(), self.n_classes);
        if n == 0 || c == 0 {
            return Err(ProbeError::Empty { what: format!("evaluation set {}", self.name) });
        }
        if self.logits.len() != n * c {
            return Err(ProbeError::Shape {
                what: format!("logits of {}", self.name),
                expected: n * c,
                found: self.logits.len(),
            });
        }
        if let Some(&bad) = self.targets.iter().find(|&&t| t as usize >= c) {
            return Err(ProbeError::Index {
                what: format!("targets of {}", self.name),
                index: bad as usize,
                len: c,
            });
        }
        for group in &self.groups {
            if let Some(&bad) = group.members.iter().find(|&&m| m as usize >= n) {
                return Err(ProbeError::Index {
                    what: format!("members of {}", group.name),
                    index: bad as usize,
                    len: n,
                });
            }
        }
        Ok(())
    }

    /// The last tap whose name ends in `suffix`, checked to fit the set.
    ///
    /// # Errors
    /// [`ProbeError::Missing`] without one, [`ProbeError::Shape`] if it does not fit.
    pub fn last_tap(&self, suffix: &str) -> Result<Tap<'a>, ProbeError> {
        let tap = self.taps.iter().rfind(|t| t.name.ends_with(suffix)).ok_or_else(|| {
            ProbeError::Missing { what: format!("tap *{suffix} of evaluation set {}", self.name) }
        })?;
        if tap.width == 0 {
            return Err(ProbeError::Empty { what: format!("tap {}", tap.name) });
        }
        fits(tap.name, self.targets.len() * tap.width, tap.values.len())?;
        Ok(*tap)
    }
}

/// A parameter that is a matrix, `[n_rows, n_columns]`, row-major.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    /// The name of the parameter.
    pub name: &'a str,
    /// Rows.
    pub n_rows: usize,
    /// Columns.
    pub n_columns: usize,
    /// The values.
    pub values: &'a [f32],
}

impl<'a> Matrix<'a> {
    fn of(view: &ParamView<'a>) -> Result<Self, ProbeError> {
        let &[n_rows, n_columns] = view.shape else {
            return Err(ProbeError::Shape {
                what: format!("{} to a matrix of 2 axes", view.name),
                expected: 2,
                found: view.shape.len(),
            });
        };
        fits(view.name, n_rows * n_columns, view.values.len())?;
        if n_rows == 0 || n_columns == 0 {
            return Err(ProbeError::Empty { what: view.name.to_owned() });
        }
        Ok(Self { name: view.name, n_rows, n_columns, values: view.values })
    }
}

pub(crate) fn fits(what: &str, expected: usize, found: usize) -> Result<(), ProbeError> {
    if expected == found {
        Ok(())
    } else {
        Err(ProbeError::Shape { what: what.to_owned(), expected, found })
    }
}
