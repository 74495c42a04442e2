//! The attack that places the small boxes of SABR.

use crate::CertifiedConfig;
use ontogeny_core::Step;
use ontogeny_core::random::Philox;
use ontogeny_engine::{Batch, Engine, EngineError, Inputs, LanePlan, Network, Objective};

/// Inputs at most `reach` away from those of the batch at which the cross entropy is large: a random start in
/// the box, then steps along the sign of the gradient, kept in box and range.
///
/// Determinism: a function of its arguments; number `i` of the start is the uniform number at
/// (`seed`, `sabr`, `step`, `i`).
///
/// # Errors
/// What [`Engine::input_gradient`] refuses.
#[expect(clippy::too_many_arguments, reason = "where, what, how")]
pub(crate) fn centers(
    engine: &Engine,
    net: &dyn Network,
    params: &[f32],
    batch: &Batch,
    plan: LanePlan,
    config: &CertifiedConfig,
    seed: u64,
    step: Step,
) -> Result<Vec<f32>, EngineError> {
    let Some(around) = numbers(&batch.inputs) else {
        return Err(EngineError::TokensHaveNoGradient);
    };
    let reach = config.reach(step);
    let [low, high] = config.range.unwrap_or([f64::NEG_INFINITY, f64::INFINITY]);
    // Rounded towards the input: the middle never leaves its box or the range.
    let ends: Vec<[f32; 2]> = (around.iter())
        .map(|&v| [(f64::from(v) - reach).max(low), (f64::from(v) + reach).min(high)])
        .map(|[l, u]| [up(l), down(u)])
        .collect();
    let draws = Philox::new(seed, "sabr").at(step.0);
    let mut attacked = batch.clone();
    for (i, (v, [l, u])) in numbers_mut(&mut attacked.inputs).iter_mut().zip(&ends).enumerate() {
        let start = f64::from(*l) + f64::from(u - l) * draws.uniform(i as u64);
        *v = (start as f32).clamp(*l, u.max(*l));
    }
    let length = (config.attack_step * reach) as f32;
    for _ in 0..config.attack_steps {
        let g = engine.input_gradient(net, params, &attacked, plan, Objective::CrossEntropy)?;
        let values = numbers_mut(&mut attacked.inputs);
        for ((v, g), [l, u]) in values.iter_mut().zip(&g.values).zip(&ends) {
            let side = f32::from(i8::from(*g > 0.0) - i8::from(*g < 0.0));
            *v = (*v + length * side).clamp(*l, u.max(*l));
        }
    }
    Ok(numbers_mut(&mut attacked.inputs).to_vec())
}

fn numbers(inputs: &Inputs) -> Option<&[f32]> {
    match inputs {
        Inputs::Features { values, .. } | Inputs::Images { values, .. } => Some(values),
        Inputs::Tokens { .. } => None,
    }
}

fn numbers_mut(inputs: &mut Inputs) -> &mut [f32] {
    match inputs {
        Inputs::Features { values, .. } | Inputs::Images { values, .. } => values,
        Inputs::Tokens { .. } => &mut [],
    }
}

/// The least single-precision number that is not below `v`.
fn up(v: f64) -> f32 {
    let near = v as f32;
    if f64::from(near) < v { near.next_up() } else { near }
}

/// The largest that is not above.
fn down(v: f64) -> f32 {
    let near = v as f32;
    if f64::from(near) > v { near.next_down() } else { near }
}
