//! What both macros need: ports, types read by their last name, and the plugin's shell.

use proc_macro2::{Group, Ident, Punct, Spacing, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, FnArg, GenericArgument, ItemFn, Lifetime, LitStr, Path, PathArguments, Result, Token, Type};

/// What stands in the attribute: `ports(valid, invalid = "json"), on_timer = function`, or less.
#[derive(Default)]
pub struct Attribute {
    pub ports: Ports,
    pub on_timer: Option<Path>,
}

impl Parse for Attribute {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let wanted = "expected `ports(name, name = \"format\")`, `on_timer = function`, or nothing";
        let mut attribute = Self::default();
        while !input.is_empty() {
            let keyword: Ident = input.parse().map_err(|error| Error::new(error.span(), wanted))?;
            if keyword == "ports" {
                let listed;
                syn::parenthesized!(listed in input);
                let ports = Punctuated::<Port, Token![,]>::parse_terminated(&listed)?;
                attribute.ports = Ports(ports.into_iter().map(|port| (port.name, port.format)).collect());
            } else if keyword == "on_timer" {
                input.parse::<Token![=]>()?;
                attribute.on_timer = Some(input.parse()?);
            } else {
                return Err(Error::new(keyword.span(), wanted));
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(attribute)
    }
}

/// Output ports with the formats of their values.
#[derive(Default)]
pub struct Ports(Vec<(String, String)>);

impl ToTokens for Ports {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let ports = self.0.iter().map(|(name, format)| quote!(::weir::Port { name: #name, value_format: #format }));
        tokens.extend(quote!(&[#(#ports),*]));
    }
}

struct Port {
    name: String,
    format: String,
}

impl Parse for Port {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let name = input.parse::<Ident>()?.to_string().replace('_', "-");
        let format = input.parse::<Option<Token![=]>>()?.map(|_| input.parse::<LitStr>()).transpose()?;
        Ok(Self { name, format: format.map_or(String::new(), |format| format.value()) })
    }
}

/// The type of an argument; `self` has none.
pub fn type_of(argument: &FnArg) -> Result<&Type> {
    match argument {
        FnArg::Typed(typed) => Ok(&typed.ty),
        FnArg::Receiver(receiver) => {
            Err(Error::new_spanned(receiver, "a plugin is a function of its own, without `self`"))
        }
    }
}

/// The last name of a path, behind references: `Config` of `&weir::Config<Limits>`.
pub fn name_of(ty: &Type) -> String {
    match ty {
        Type::Reference(reference) => name_of(&reference.elem),
        Type::Path(path) => path.path.segments.last().map_or(String::new(), |segment| segment.ident.to_string()),
        _ => String::new(),
    }
}

/// The first type argument of a path, behind references: `Limits` of `&weir::Config<Limits>`.
pub fn inner_of(ty: &Type) -> Option<&Type> {
    match ty {
        Type::Reference(reference) => inner_of(&reference.elem),
        Type::Path(path) => match &path.path.segments.last()?.arguments {
            PathArguments::AngleBracketed(list) => list.args.iter().find_map(|argument| match argument {
                GenericArgument::Type(inner) => Some(inner),
                _ => None,
            }),
            _ => None,
        },
        _ => None,
    }
}

/// What a reference refers to, or the type itself.
pub fn referred(ty: &Type) -> &Type {
    if let Type::Reference(reference) = ty { &reference.elem } else { ty }
}

/// The same tokens with every named lifetime but 'static as `'_`, so that they can be said outside of the signature.
pub fn without_lifetimes(tokens: TokenStream) -> TokenStream {
    let mut in_lifetime = false;
    let mut renamed = TokenStream::new();
    for tree in tokens {
        let tree = match tree {
            TokenTree::Ident(name) if in_lifetime && name != "static" => Ident::new("_", name.span()).into(),
            TokenTree::Group(group) => {
                TokenTree::from(Group::new(group.delimiter(), without_lifetimes(group.stream())))
            }
            other => other,
        };
        in_lifetime = matches!(&tree, TokenTree::Punct(punct) if is_tick(punct));
        renamed.extend([tree]);
    }
    renamed
}

/// The type with every lifetime as 'static, those left out of `Str`, `Bytes` and `Text` too: as the type of a field.
pub fn with_static_lifetimes(ty: &Type) -> Type {
    let mut ty = ty.clone();
    make_static(&mut ty);
    ty
}

fn make_static(ty: &mut Type) {
    let forever = || Lifetime::new("'static", proc_macro2::Span::call_site());
    match ty {
        Type::Reference(reference) => {
            reference.lifetime = Some(forever());
            make_static(&mut reference.elem);
        }
        Type::Tuple(tuple) => tuple.elems.iter_mut().for_each(make_static),
        Type::Path(path) => {
            let Some(last) = path.path.segments.last_mut() else { return };
            let borrows = last.ident == "Str" || last.ident == "Bytes" || last.ident == "Text";
            if borrows && last.arguments.is_none() {
                last.arguments = PathArguments::AngleBracketed(syn::parse_quote!(<'static>));
            }
            let PathArguments::AngleBracketed(list) = &mut last.arguments else { return };
            for argument in &mut list.args {
                match argument {
                    GenericArgument::Lifetime(lifetime) => *lifetime = forever(),
                    GenericArgument::Type(inner) => make_static(inner),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

fn is_tick(punct: &Punct) -> bool {
    punct.as_char() == '\'' && punct.spacing() == Spacing::Joint
}

/// Refuses what no plugin can be: async, generic over types, unsafe.
pub fn check_function(function: &ItemFn) -> Result<()> {
    let signature = &function.sig;
    if let Some(asyncness) = &signature.asyncness {
        return Err(Error::new_spanned(asyncness, "a plugin's function is not async: a call waits for nothing"));
    }
    if let Some(generic) = signature.generics.type_params().next() {
        return Err(Error::new_spanned(
            generic,
            "a plugin's function has no type parameters: the host calls one function",
        ));
    }
    Ok(())
}

/// The type of a plugin's configuration, and the body of `configure`.
pub fn configuration(config: Option<&Type>) -> (TokenStream, TokenStream) {
    match config {
        Some(ty) => {
            let ty = without_lifetimes(ty.to_token_stream());
            (quote!(::weir::Config<#ty>), quote!(::weir::configuration(text).map(::weir::Config)))
        }
        None => (quote!(()), quote!(::weir::no_configuration(text))),
    }
}

/// What makes a plugin of a function.
pub struct Parts<'a> {
    pub config: Option<&'a Type>,
    /// Of its `Declaration`, what is not the crate's.
    pub declaration: TokenStream,
    /// The body of `process`.
    pub process: TokenStream,
    /// The type of its state, and what defines it.
    pub state: (TokenStream, TokenStream),
    /// The body of `on_timers`.
    pub on_timers: Option<TokenStream>,
}

/// The function, a type of its name that is the plugin, and its exports where this is a component.
pub fn plugin(function: &ItemFn, parts: &Parts<'_>) -> TokenStream {
    let Parts { config, declaration, process, state: (state, state_items), on_timers } = parts;
    let name = &function.sig.ident;
    let on_timers_item = on_timers.as_ref().map(|body| {
        quote! {
            #[allow(unused_variables)]
            fn on_timers(
                config: &Self::Config,
                state: &mut Self::State,
                names: ::weir::Column,
                at: i64,
            ) -> ::weir::Output {
                #body
            }
        }
    });
    let (named, described) = (named(function), described(*config, declaration));
    let exported = exported(name, &quote!(export), &quote!(Processor));
    quote! {
        #named
        #state_items

        impl ::weir::Processor for #name {
            type State = #state;
            #described
            #[allow(unused_variables)]
            fn process(config: &Self::Config, state: &mut Self::State, batch: ::weir::Batch) -> ::weir::Output {
                #process
            }
            #on_timers_item
        }

        #exported
    }
}

/// The function, and a type of its name that is the plugin.
pub fn named(function: &ItemFn) -> TokenStream {
    let (name, visibility) = (&function.sig.ident, &function.vis);
    let document = format!("The plugin `{name}`, for `weir::test`.");
    quote! {
        // Each argument is something that the plugin asks for: that is how it asks.
        #[allow(clippy::too_many_arguments)]
        #function

        #[doc = #document]
        #[allow(non_camel_case_types)]
        #[derive(Debug)]
        #visibility struct #name {}
    }
}

/// What every plugin made of a function says of itself, and how it reads its configuration.
pub fn described(config: Option<&Type>, declaration: &TokenStream) -> TokenStream {
    let (config, configure) = configuration(config);
    quote! {
        type Config = #config;
        fn declaration() -> ::weir::Declaration {
            ::weir::Declaration {
                name: ::core::env!("CARGO_PKG_NAME"),
                version: ::core::env!("CARGO_PKG_VERSION"),
                #declaration
            }
        }
        fn configure(text: &str) -> ::core::result::Result<Self::Config, ::std::vec::Vec<::weir::Problem>> {
            #configure
        }
    }
}

/// The exports of the plugin `name`, by the macro `export`, where this is a component.
pub fn exported(name: &Ident, export: &TokenStream, role: &TokenStream) -> TokenStream {
    quote! {
        #[allow(unsafe_code)]
        const _: () = {
            #[cfg(target_arch = "wasm32")]
            ::weir::#export!(#name);
            // Natively nothing calls a plugin but its tests.
            #[cfg(not(target_arch = "wasm32"))]
            let _: fn() -> ::weir::Declaration = <#name as ::weir::#role>::declaration;
        };
    }
}
