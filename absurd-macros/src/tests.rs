//! What `#[task]` writes, as it stands in `snapshots/`.

use proc_macro2::TokenStream;
use quote::quote;

use crate::expand;

fn expanded(args: TokenStream, item: TokenStream) -> String {
    let expanded = expand::task(args, item).to_string();
    let file = syn::parse_file(&expanded);
    file.map_or(expanded, |file| prettyplease::unparse(&file))
}

#[test]
fn a_task_with_all_options() {
    insta::assert_snapshot!(expanded(
        quote! {
            name = "process-group", queue = "imaging", max_attempts = 3,
            retry = exponential("2s", factor = 1.5, max = "5m"), max_delay = "1h",
            max_duration = "1h 30m"
        },
        quote! {
            /// Converts and images one group.
            pub async fn process_group(
                ctx: &mut Context, group: Group, tools: State<Toolbox>, log: State<Log>,
            ) -> TaskResult<Image> {
                ctx.step("image", || tools.image(&group)).await
            }
        },
    ));
}

#[test]
fn a_task_with_nothing_but_a_context() {
    insta::assert_snapshot!(expanded(
        quote! {},
        quote! {
            async fn tick(_ctx: &mut Context) -> TaskResult<()> {
                Ok(())
            }
        },
    ));
}

#[test]
fn all_errors_are_shown_at_once() {
    let said = expanded(
        quote! { nam = "x", retry = fixed(5), max_attempts = 0 },
        quote! { fn wrong(first: &str, second: u8) {} },
    );
    for error in [
        "unknown option `nam`",
        "a length of time is a string",
        "this is no number of attempts",
        "write `async fn`",
        "the task has no context",
        "take an owned type",
        "one parameter for its params",
        "a task returns `TaskResult<..>`",
    ] {
        assert!(said.contains(error), "no `{error}` in {said}");
    }
}
