//! The session's state machine: a pure function from state and input to state and effects, or a denial with its reason.
//!
//! ```text
//!       Ask(any goal)                   Prepared(build)        Built(up)           BootDone
//!   ┌──────┐ ───────────────▶ ┌───────────┐ ───────▶ ┌──────────┐ ───▶ ┌─────────┐ ───▶ ┌─────────┐
//!   │ Idle │                  │ Preparing │          │ Building │      │ Booting │      │ Running │
//!   └──────┘ ◀──── Built ─────┼───────────┼────────── └──────────┘      └─────────┘      └─────────┘
//!      ▲      (build alone)   │           │ Prepared(boot) ─────────────────▲                │
//!      │                      │           │                                                  │
//!      │                      └─────┬─────┘  any failure, Cancel, Eject, guest ended         │
//!      │      Ejected         ┌─────▼────┐ ◀─────────────────────────────────────────────────┘
//!      └───────────────────── │ Ejecting │ ── Ejected with a goal waiting ──▶ Preparing
//!                             └──────────┘
//! ```
//!
//! "boot" stands for every goal that builds nothing: Boot, Restore, Direct, Attach.
//!
//! Every failure and every cancel leaves through `Ejecting`, so that cleaning has one path.

use serde::{Deserialize, Serialize};

/// Where the session is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nothing runs.
    #[default]
    Idle,
    /// The recipe is checked, the host is looked at, what an earlier session left is cleaned.
    Preparing,
    /// Stages run.
    Building,
    /// QEMU runs; the guest has not reported yet.
    Booting,
    /// The guest is up.
    Running,
    /// The guest is ended and this session's work is removed.
    Ejecting,
}

/// What the user asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// An image.
    Build,
    /// A guest from the image that the last build left.
    Boot,
    /// An image, then a guest from it.
    Up,
    /// A guest from a slot: what it had booted from is kept there.
    Restore,
    /// A guest from a kernel or an ISO that no build has left: needs neither a cartridge nor an image.
    Direct,
    /// A VNC server of somebody else's on the screen: needs nothing.
    Attach,
}

/// How the last thing that was asked for ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The image is there.
    Built,
    /// The user ejected.
    Ejected,
    /// The user cancelled.
    Cancelled,
    /// It failed; the failure was told in an event of its own.
    Failed,
    /// The guest ended by itself: it powered off, crashed or panicked.
    GuestEnded,
}

/// How much an eject removes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EjectScope {
    /// This session's work; caches and images stay.
    #[default]
    Session,
    /// Caches and images too.
    Everything,
}

/// The whole state. Small and copied freely.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Where the session is.
    pub phase: Phase,
    /// What is being worked towards, while something is.
    pub goal: Option<Goal>,
    /// How the last goal ended.
    pub outcome: Option<Outcome>,
    /// Whether a cartridge without errors is inserted.
    pub inserted: bool,
    /// Whether there is an image that could be booted.
    pub image: bool,
    /// What starts when the eject under way is done.
    pub next: Option<Goal>,
}

/// What happens to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A cartridge was inserted or changed; `valid` if it has no errors, `image` if an image of it exists already.
    Inserted {
        /// It can be built.
        valid: bool,
        /// It can be booted.
        image: bool,
    },
    /// The user asks for a goal.
    Ask(Goal),
    /// The user stops what is under way.
    Cancel,
    /// The user ejects.
    Eject(EjectScope),
    /// Preparation is done.
    Prepared,
    /// The image is there.
    Built,
    /// The guest reported, or its deadline passed with QEMU still running.
    BootDone,
    /// Whatever was under way failed.
    Failed,
    /// The guest ended by itself.
    GuestEnded,
    /// The eject is done, as far as it would go.
    Ejected,
}

/// What the driver has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Check the recipe, look at the host, clean what an earlier session left.
    Prepare(Goal),
    /// Run the stages.
    Build,
    /// Start the guest.
    Boot,
    /// Stop whatever runs, then clean.
    Eject(EjectScope),
}

/// Why an input was refused. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Denied {
    /// There is nothing to build.
    #[error(
        "no cartridge is inserted, or it has errors: open a repository, or correct the fields marked in the settings"
    )]
    NoCartridge,
    /// There is nothing to boot.
    #[error("there is no image yet: build first")]
    NoImage,
    /// Something is under way.
    #[error("the session is busy: cancel or eject first")]
    Busy,
    /// A guest of ours would be ended for somebody else's.
    #[error("a guest is running, and attaching to a VNC server would end it: eject it first")]
    GuestRuns,
    /// There is nothing to cancel.
    #[error("nothing is under way")]
    NothingToCancel,
    /// What runs is being ended, which is not cut short.
    #[error("what was under way is being ended already")]
    BeingEnded,
    /// Nobody is ended whom an eject has not named.
    #[error("the last eject has named no such process that may be ended: eject again and look who holds it")]
    NotNamed,
    /// A fix changes the user's repository, and the user was not asked.
    #[error("this changes a file of your repository: it is done only after you were asked")]
    NotAsked,
    /// There is no such finding in the last examination, or nothing mends it.
    #[error("this finding is not there any more, or no single edit mends it: check the cartridge again")]
    NoFix,
    /// A fix changes the repository, and a build reads it.
    #[error("this changes a file of your repository, which a build is reading: do it when the build is over")]
    BeingBuilt,
    /// What is seen is what another session does.
    #[error("you are watching what another session does: this is changed there")]
    Watching,
    /// The input does not belong to this phase: a late answer of work that was cancelled.
    #[error("this no longer matters")]
    Stale,
}

/// The transition function.
///
/// # Errors
/// [`Denied`] when the input makes no sense in this state; the state is then unchanged.
pub fn step(state: &State, input: Input) -> Result<(State, Option<Effect>), Denied> {
    use Phase::{Booting, Building, Ejecting, Idle, Preparing, Running};
    let to = |phase: Phase, effect: Effect| Ok((State { phase, ..*state }, Some(effect)));
    match (state.phase, input) {
        (Idle, Input::Inserted { valid, image }) => {
            Ok((State { inserted: valid, image, outcome: None, ..*state }, None))
        }
        // While a goal is worked on the settings may change; they count from the next goal on.
        (_, Input::Inserted { valid, .. }) => Ok((State { inserted: valid, ..*state }, None)),

        (Idle | Running, Input::Ask(goal)) => {
            allowed(state, goal)?;
            if goal == Goal::Attach && state.phase == Running && state.goal != Some(Goal::Attach) {
                return Err(Denied::GuestRuns);
            }
            if state.phase == Running {
                leave(&State { next: Some(goal), ..*state }, Outcome::Ejected, EjectScope::Session)
            } else {
                Ok((State { phase: Preparing, goal: Some(goal), outcome: None, ..*state }, Some(Effect::Prepare(goal))))
            }
        }
        (_, Input::Ask(_)) => Err(Denied::Busy),

        (Preparing | Building | Booting, Input::Cancel) => leave(state, Outcome::Cancelled, EjectScope::Session),
        (Ejecting, Input::Cancel) if state.next.is_some() => Ok((State { next: None, ..*state }, None)),
        // What runs is ended to its end; the driver stops the removal that follows, which is no business of this machine.
        (Ejecting, Input::Cancel) => Err(Denied::BeingEnded),
        (_, Input::Cancel) => Err(Denied::NothingToCancel),

        (Ejecting, Input::Eject(_)) => Err(Denied::Busy),
        (_, Input::Eject(scope)) => leave(state, Outcome::Ejected, scope),

        (Preparing, Input::Prepared) => match state.goal {
            Some(Goal::Boot | Goal::Restore | Goal::Direct | Goal::Attach) => to(Booting, Effect::Boot),
            Some(Goal::Build | Goal::Up) => to(Building, Effect::Build),
            None => Err(Denied::Stale),
        },
        (Building, Input::Built) => match state.goal {
            Some(Goal::Up) => Ok((State { phase: Booting, image: true, ..*state }, Some(Effect::Boot))),
            Some(Goal::Build) => {
                Ok((State { phase: Idle, goal: None, image: true, outcome: Some(Outcome::Built), ..*state }, None))
            }
            Some(Goal::Boot | Goal::Restore | Goal::Direct | Goal::Attach) | None => Err(Denied::Stale),
        },
        (Booting, Input::BootDone) => Ok((State { phase: Running, ..*state }, None)),
        (Preparing | Building | Booting | Running, Input::Failed) => leave(state, Outcome::Failed, EjectScope::Session),
        (Booting | Running, Input::GuestEnded) => leave(state, Outcome::GuestEnded, EjectScope::Session),
        (Ejecting, Input::Ejected) => match state.next {
            Some(goal) if allowed(state, goal).is_ok() => Ok((
                State { phase: Preparing, goal: Some(goal), outcome: None, next: None, ..*state },
                Some(Effect::Prepare(goal)),
            )),
            _ => Ok((State { phase: Idle, goal: None, next: None, ..*state }, None)),
        },
        _ => Err(Denied::Stale),
    }
}

fn allowed(state: &State, goal: Goal) -> Result<(), Denied> {
    if matches!(goal, Goal::Direct | Goal::Attach) {
        return Ok(());
    }
    if !state.inserted {
        return Err(Denied::NoCartridge);
    }
    if goal == Goal::Boot && !state.image {
        return Err(Denied::NoImage);
    }
    Ok(())
}

fn leave(state: &State, outcome: Outcome, scope: EjectScope) -> Result<(State, Option<Effect>), Denied> {
    let image = state.image && scope == EjectScope::Session;
    Ok((State { phase: Phase::Ejecting, outcome: Some(outcome), image, ..*state }, Some(Effect::Eject(scope))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn inputs() -> impl Strategy<Value = Input> {
        let goal = prop_oneof![
            Just(Goal::Build),
            Just(Goal::Boot),
            Just(Goal::Up),
            Just(Goal::Restore),
            Just(Goal::Direct),
            Just(Goal::Attach)
        ];
        let scope = prop_oneof![Just(EjectScope::Session), Just(EjectScope::Everything)];
        prop_oneof![
            (any::<bool>(), any::<bool>()).prop_map(|(valid, image)| Input::Inserted { valid, image }),
            goal.prop_map(Input::Ask),
            scope.prop_map(Input::Eject),
            Just(Input::Cancel),
            Just(Input::Prepared),
            Just(Input::Built),
            Just(Input::BootDone),
            Just(Input::Failed),
            Just(Input::GuestEnded),
            Just(Input::Ejected),
        ]
    }

    /// What really runs, as a driver would see it: effects start work, and only finished work may start more.
    fn check(state: &State, input: Input, after: &State, effect: Option<Effect>) {
        match effect {
            Some(Effect::Prepare(goal)) => {
                assert!(after.phase == Phase::Preparing && after.goal == Some(goal));
                assert!(after.inserted || matches!(goal, Goal::Direct | Goal::Attach));
                assert!(state.phase != Phase::Running, "what runs is ejected first");
                assert!(goal != Goal::Boot || after.image);
            }
            Some(Effect::Build) => assert_eq!((state.phase, after.phase), (Phase::Preparing, Phase::Building)),
            Some(Effect::Boot) => {
                let made = matches!(after.goal, Some(Goal::Restore | Goal::Direct | Goal::Attach));
                assert!((after.image || made) && after.phase == Phase::Booting);
            }
            Some(Effect::Eject(_)) => assert_eq!(after.phase, Phase::Ejecting),
            None => {}
        }
        if matches!(input, Input::Failed | Input::GuestEnded) {
            assert_eq!(after.phase, Phase::Ejecting, "every failure leaves through Ejecting");
        }
        if after.phase == Phase::Idle && state.phase != Phase::Idle {
            assert!(matches!(input, Input::Ejected | Input::Built), "only a build alone or an eject ends in Idle");
            assert_eq!((after.goal, after.next), (None, None));
        }
        assert_eq!(after.goal.is_some(), !matches!(after.phase, Phase::Idle) && after.goal.is_some());
    }

    proptest! {
        #[test]
        fn any_sequence_keeps_the_invariants_and_can_always_be_brought_to_idle(
            sequence in proptest::collection::vec(inputs(), 0..60)
        ) {
            let mut state = State::default();
            for input in sequence {
                if let Ok((after, effect)) = step(&state, input) {
                    check(&state, input, &after, effect);
                    state = after;
                }
            }
            if state.phase == Phase::Ejecting {
                let _ = step(&state, Input::Cancel).map(|(after, _)| state = after);
            } else {
                state = step(&state, Input::Eject(EjectScope::Session)).unwrap().0;
            }
            let (state, effect) = step(&state, Input::Ejected).unwrap();
            prop_assert_eq!(state.phase, Phase::Idle);
            prop_assert_eq!(effect, None);
        }
    }

    fn run(inputs: &[Input]) -> (State, Vec<Effect>) {
        let mut state = State::default();
        let mut effects = Vec::new();
        for input in inputs {
            let (after, effect) = step(&state, *input).unwrap();
            effects.extend(effect);
            state = after;
        }
        (state, effects)
    }

    #[test]
    fn build_and_boot_goes_all_the_way() {
        let (state, effects) = run(&[
            Input::Inserted { valid: true, image: false },
            Input::Ask(Goal::Up),
            Input::Prepared,
            Input::Built,
            Input::BootDone,
            Input::Eject(EjectScope::Session),
            Input::Ejected,
        ]);
        assert_eq!(
            effects,
            [Effect::Prepare(Goal::Up), Effect::Build, Effect::Boot, Effect::Eject(EjectScope::Session)]
        );
        assert_eq!((state.phase, state.outcome, state.image), (Phase::Idle, Some(Outcome::Ejected), true));
    }

    #[test]
    fn building_again_while_the_guest_runs_ejects_first() {
        let (state, effects) = run(&[
            Input::Inserted { valid: true, image: true },
            Input::Ask(Goal::Boot),
            Input::Prepared,
            Input::BootDone,
            Input::Ask(Goal::Up),
            Input::Ejected,
        ]);
        assert_eq!(effects[2..], [Effect::Eject(EjectScope::Session), Effect::Prepare(Goal::Up)]);
        assert_eq!(state.phase, Phase::Preparing);
    }

    #[test]
    fn a_direct_boot_needs_neither_a_cartridge_nor_an_image() {
        let (state, effects) = run(&[
            Input::Ask(Goal::Direct),
            Input::Prepared,
            Input::BootDone,
            Input::Ask(Goal::Direct),
            Input::Ejected,
        ]);
        let prepare = Effect::Prepare(Goal::Direct);
        assert_eq!(effects, [prepare, Effect::Boot, Effect::Eject(EjectScope::Session), prepare]);
        assert!(state.phase == Phase::Preparing && !state.inserted);
        assert_eq!(step(&State::default(), Input::Ask(Goal::Boot)), Err(Denied::NoCartridge));
    }

    #[test]
    fn attaching_ends_no_guest_of_ours_and_may_be_followed_by_anything() {
        let (state, effects) = run(&[Input::Ask(Goal::Attach), Input::Prepared, Input::BootDone]);
        assert_eq!((state.phase, effects), (Phase::Running, vec![Effect::Prepare(Goal::Attach), Effect::Boot]));
        for goal in [Goal::Attach, Goal::Direct] {
            let (after, effect) = step(&state, Input::Ask(goal)).unwrap();
            assert_eq!((after.next, effect), (Some(goal), Some(Effect::Eject(EjectScope::Session))));
        }
        let (guest, _) = run(&[Input::Ask(Goal::Direct), Input::Prepared, Input::BootDone]);
        assert_eq!(step(&guest, Input::Ask(Goal::Attach)), Err(Denied::GuestRuns));
    }

    #[test]
    fn ejecting_everything_forgets_the_image() {
        let (state, _) =
            run(&[Input::Inserted { valid: true, image: true }, Input::Eject(EjectScope::Everything), Input::Ejected]);
        assert_eq!(step(&state, Input::Ask(Goal::Boot)), Err(Denied::NoImage));
    }

    #[test]
    fn a_late_answer_of_cancelled_work_changes_nothing() {
        let (state, _) = run(&[
            Input::Inserted { valid: true, image: false },
            Input::Ask(Goal::Build),
            Input::Prepared,
            Input::Cancel,
        ]);
        assert_eq!(step(&state, Input::Built), Err(Denied::Stale));
        assert_eq!(step(&state, Input::Failed), Err(Denied::Stale));
    }
}
