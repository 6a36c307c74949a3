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
            name = "process-group", queue = "imaging", version = "2", priority = -3,
            max_attempts = 3, retry = exponential("2s", factor = 1.5, max = "5m"),
            timeout = "15m", max_delay = "1h", max_duration = "1h 30m", allow = "nondeterminism"
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
        quote! {
            nam = "x", retry = fixed(5), max_attempts = 0, timeout = "0s", priority = 1.5,
            version = "", allow = "all"
        },
        quote! { fn wrong(first: &str, second: u8) { Utc::now(); } },
    );
    for error in [
        "unknown option `nam`",
        "a length of time is a string",
        "this is no number of attempts",
        "the timeout is zero",
        "this is no priority",
        "the task's version is empty",
        "only the check for nondeterminism",
        "write `async fn`",
        "the task has no context",
        "take an owned type",
        "one parameter for its params",
        "a task returns `TaskResult<..>`",
        "`Utc::now` is another time on every replay",
    ] {
        assert!(said.contains(error), "no `{error}` in {said}");
    }
}

#[test]
fn options_are_held_to_what_they_can_mean() {
    let cases = [
        (quote! { timeout = "1ms" }, ""),
        (quote! { timeout = "0s" }, "the timeout is zero"),
        (quote! { timeout = 5 }, "a length of time is a string"),
        (quote! { timeout }, "write `timeout = \\\"15m\\\"`"),
        (quote! { priority = 2147483647 }, ""),
        (quote! { priority = -2147483648 }, ""),
        (quote! { priority = 2147483648 }, "this is no priority"),
        (quote! { priority = -2147483649 }, "this is no priority"),
        (quote! { priority = "5" }, "this is no priority"),
        (quote! { priority }, "write `priority = 5`"),
        (quote! { version = "2" }, ""),
        (quote! { version = " " }, "the task's version is empty"),
        (quote! { version = 2 }, "the task's version is a string"),
        (quote! { version }, "write `version = \\\"2\\\"`"),
        (quote! { allow = "nondeterminism" }, ""),
        (quote! { allow = nondeterminism }, "can be switched off"),
        (quote! { allow = "dead_code" }, "can be switched off"),
        (
            quote! { allow(nondeterminism) },
            "write `allow = \\\"nondeterminism\\\"`",
        ),
    ];
    for (options, error) in cases {
        let shown = options.to_string();
        let said = expanded(
            options,
            quote! { async fn tick(_ctx: &mut Context) -> TaskResult<()> { Ok(()) } },
        );
        assert_eq!(said.contains("compile_error"), !error.is_empty(), "{said}");
        assert!(said.contains(error), "no `{error}` for {shown} in {said}");
    }
}

#[test]
fn the_check_for_nondeterminism_can_be_switched_off() {
    let task = quote! {
        async fn tick(_ctx: &mut Context) -> TaskResult<()> { Ok(log(Utc::now())) }
    };
    let said = expanded(quote! {}, task.clone());
    assert!(
        said.contains("`#[task(allow = \\\"nondeterminism\\\")]`"),
        "{said}"
    );
    let said = expanded(quote! { allow = "nondeterminism" }, task);
    assert!(!said.contains("compile_error"), "{said}");
}
