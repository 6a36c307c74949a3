//! What compiles, and what the compiler says of the rest.

#[path = "ui/pass/allowed_chance.rs"]
mod allowed_chance;
#[expect(
    clippy::disallowed_methods,
    reason = "inside a step the clock may be asked"
)]
#[path = "ui/pass/chance_inside_a_step.rs"]
mod chance_inside_a_step;
#[path = "ui/pass/shapes.rs"]
mod shapes;

/// Parts of this program: trybuild would build all dependencies for them once more, where for the
/// messages it only checks them.
#[test]
fn what_is_fine_compiles_and_runs() {
    allowed_chance::main();
    chance_inside_a_step::main();
    shapes::main();
}

#[test]
fn compiler_messages() {
    trybuild::TestCases::new().compile_fail("tests/ui/fail/*.rs");
}
