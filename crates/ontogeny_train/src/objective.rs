//! What a run minimizes: a plain loss, or one over boxes of inputs with bounds.

use crate::TrainError;
use crate::config::in_range;
use ontogeny_core::{Schedule, Step};
use ontogeny_engine::{Certified, Objective};
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// What is minimized. A plain objective is written as its name (`"cross_entropy"`), a certified one as an object.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum ObjectiveConfig {
    /// The mean loss at the inputs.
    Plain(Objective),
    /// A loss over boxes around the inputs.
    Certified(Box<CertifiedConfig>),
}

impl From<Objective> for ObjectiveConfig {
    fn from(objective: Objective) -> Self {
        Self::Plain(objective)
    }
}

impl From<CertifiedConfig> for ObjectiveConfig {
    fn from(certified: CertifiedConfig) -> Self {
        Self::Certified(Box::new(certified))
    }
}

/// Which boxes and which bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Interval bounds over the whole box (Gowal et al. 2018, arXiv:1810.12715).
    Ibp,
    /// Interval bounds before each ReLU, lines from the margins back to the inputs (CROWN-IBP, Zhang et al. 2019,
    /// arXiv:1906.06316), mixed with interval bounds: `beta` of the first.
    CrownIbp,
    /// Interval bounds over a small box around an attacked input (Müller et al. 2023, arXiv:2210.04871).
    Sabr,
}

/// The initial weights of a run with a certified objective.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Initialization {
    /// The model's own.
    #[default]
    Standard,
    /// `W ~ N(0, 2 pi / fan_in^2)`: boxes keep their size through a layer (Shi et al. 2021, arXiv:2103.17268). The draws
    /// are those of the standard initialization, scaled.
    Ibp,
}

/// A loss over boxes: `kappa CE(z) + (1 - kappa) CE(-m, m_y = 0)`, `m` lower bounds of the margins.
///
/// Each number that changes in training is a schedule of the step, so that a fork can change it
/// (`objective.eps.value=0.2`). Natural training is `eps` 0 or `kappa` 1.
///
/// # Examples
/// ```
/// use ontogeny_train::{CertifiedConfig, ObjectiveConfig};
/// let json = r#"{
///     "method": "ibp",
///     "eps": {"shape": "smoothed", "value": 0.1, "start": 100, "until": 600},
///     "kappa": {"shape": "ramp", "from": 1.0, "value": 0.5, "start": 100, "until": 600}
/// }"#;
/// let ObjectiveConfig::Certified(certified) = serde_json::from_str(json)? else { unreachable!() };
/// assert_eq!(*certified, CertifiedConfig::ibp(certified.eps.clone(), certified.kappa.clone()));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertifiedConfig {
    /// Which boxes and which bounds.
    pub method: Method,
    /// Half the side of the box, in units of inputs.
    pub eps: Schedule,
    /// Weight of the natural loss, in [0, 1].
    pub kappa: Schedule,
    /// The least and the largest value that an input can take, to which boxes are cut; none for no cut.
    #[serde(default = "unit_range")]
    pub range: Option<[f64; 2]>,
    /// CROWN-IBP: share of linear bounds in the margins, in [0, 1]; the rest are interval bounds. As published, it falls
    /// from 1 to 0 while `eps` rises.
    #[serde(default = "none")]
    pub beta: Schedule,
    /// SABR: side of the small box relative to the whole one, in (0, 1].
    #[serde(default = "whole")]
    pub lambda: Schedule,
    /// SABR: steps of the attack that finds the middle of the small box; 0 for a random one.
    #[serde(default = "eight")]
    pub attack_steps: u64,
    /// SABR: length of a step of the attack, relative to the distance that the middle may go.
    #[serde(default = "half")]
    pub attack_step: f64,
    /// The initial weights.
    #[serde(default)]
    pub init: Initialization,
    /// Regularizers of the warm-up.
    #[serde(default)]
    pub regularizer: Option<Regularizer>,
}

/// Two regularizers of the warm-up (Shi et al. 2021, arXiv:2103.17268): boxes that outgrow those of the inputs, and
/// neurons that are all on or all off over their boxes. Their means are over the chunks of [`RunConfig`]'s
/// `lanes`.
///
/// [`RunConfig`]: crate::RunConfig
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Regularizer {
    /// Weight where `eps` leaves 0; it falls as `1 - eps / (largest eps of the schedule)`. Published: 0.5.
    pub weight: f64,
    /// The ratio at which a layer costs nothing any more, in (0, 1]. Published: 0.5.
    pub tau: f64,
    /// Whether boxes that outgrow the inputs' cost.
    pub tightness: bool,
    /// Whether an imbalance of neurons that are on and off costs.
    pub balance: bool,
}

impl Regularizer {
    /// Both, with the published numbers.
    pub fn shi() -> Self {
        Self { weight: 0.5, tau: 0.5, tightness: true, balance: true }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the type of the field")]
fn unit_range() -> Option<[f64; 2]> {
    Some([0.0, 1.0])
}

fn none() -> Schedule {
    Schedule::Constant(0.0)
}

fn whole() -> Schedule {
    Schedule::Constant(1.0)
}

fn eight() -> u64 {
    8
}

fn half() -> f64 {
    0.5
}

impl CertifiedConfig {
    /// Interval bounds over whole boxes, inputs in [0, 1], the model's own initial weights.
    pub fn ibp(eps: Schedule, kappa: Schedule) -> Self {
        Self {
            method: Method::Ibp,
            eps,
            kappa,
            range: unit_range(),
            beta: none(),
            lambda: whole(),
            attack_steps: eight(),
            attack_step: half(),
            init: Initialization::Standard,
            regularizer: None,
        }
    }

    /// The numbers of the update that takes the run from `step` to `step + 1`; of SABR, those of its small boxes.
    pub fn at(&self, step: Step) -> Certified {
        let share = if self.method == Method::Sabr { self.lambda.at(step) } else { 1.0 };
        let eps = self.eps.at(step);
        let of = self.regularizer.unwrap_or(Regularizer { weight: 0.0, ..Regularizer::shi() });
        // Without a box there is nothing to regularize, and no largest box to compare with.
        let left =
            if eps > 0.0 { of.weight * (1.0 - eps / self.eps.largest()).max(0.0) } else { 0.0 };
        let weight = |is_on: bool| if is_on { left } else { 0.0 };
        Certified {
            eps: eps * share,
            kappa: self.kappa.at(step),
            range: self.range,
            crown: if self.method == Method::CrownIbp { self.beta.at(step) } else { 0.0 },
            tightness: weight(of.tightness),
            balance: weight(of.balance),
            tau: of.tau,
        }
    }

    /// How far from its input the middle of a box may lie.
    pub(crate) fn reach(&self, step: Step) -> f64 {
        match self.method {
            Method::Ibp | Method::CrownIbp => 0.0,
            Method::Sabr => self.eps.at(step) * (1.0 - self.lambda.at(step)),
        }
    }

    pub(crate) fn check(&self) -> Result<(), TrainError> {
        let width = match self.range {
            Some([low, high]) => {
                in_range("objective.range", low, -1e6, 1e6, "the least value of an input")?;
                in_range("objective.range", high, low + 1e-9, 1e6, "the range has a width")?;
                high - low
            }
            None => 1e6,
        };
        let schedule = |key, s: &Schedule, min, max| {
            s.check(min, max).map_err(|source| TrainError::Schedule { key, source })
        };
        schedule("objective.eps", &self.eps, 0.0, width)?;
        schedule("objective.kappa", &self.kappa, 0.0, 1.0)?;
        schedule("objective.beta", &self.beta, 0.0, 1.0)?;
        if let Some(r) = self.regularizer {
            in_range("objective.regularizer.weight", r.weight, 0.0, 1e3, "published is 0.5")?;
            in_range("objective.regularizer.tau", r.tau, 1e-6, 1.0, "ratios end at 1")?;
        }
        schedule("objective.lambda", &self.lambda, 1e-6, 1.0)?;
        let steps = self.attack_steps as f64;
        in_range(
            "objective.attack_steps",
            steps,
            0.0,
            1e4,
            "each is a forward and a backward pass",
        )?;
        in_range("objective.attack_step", self.attack_step, 1e-6, 2.0, "2 crosses the whole box")
    }
}

impl ObjectiveConfig {
    /// Floating-point operations of an update relative to one of plain training.
    ///
    /// Plain training is two units for the forward and four for the backward pass. Centres and radii cost as much as
    /// natural values do; natural values cost their forward pass alone where `kappa` is 0; a step of an attack costs
    /// a forward pass and the gradient of the inputs; lines go back with one row for each of the `n_classes`. Products
    /// with absolute values count as products.
    pub fn flop_ratio(&self, step: Step, n_classes: usize) -> f64 {
        let Self::Certified(c) = self else { return 1.0 };
        let now = c.at(step);
        if now.is_natural() {
            return 1.0;
        }
        let natural = if now.kappa > 0.0 { 6.0 } else { 2.0 };
        let attack = if c.reach(step) > 0.0 { 4.0 * c.attack_steps as f64 } else { 0.0 };
        let lines = if now.crown > 0.0 { 6.0 * n_classes as f64 } else { 0.0 };
        (natural + 12.0 + attack + lines) / 6.0
    }
}

impl<'de> Deserialize<'de> for ObjectiveConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = ObjectiveConfig;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the name of an objective, or an object that begins with \"method\"")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Self::Value, E> {
                Objective::deserialize(StrDeserializer::new(name)).map(ObjectiveConfig::Plain)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let certified = CertifiedConfig::deserialize(MapAccessDeserializer::new(map))?;
                Ok(ObjectiveConfig::Certified(Box::new(certified)))
            }
        }
        deserializer.deserialize_any(Either)
    }
}
