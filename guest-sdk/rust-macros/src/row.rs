//! `#[weir::processor]`: a function of a record.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Error, FnArg, Ident, ItemFn, Pat, Result, ReturnType, Type};

use crate::shared::{
    Attribute, Parts, Ports, check_function, inner_of, name_of, plugin, referred, type_of, without_lifetimes,
};
use crate::state::{Kept, state, take_attributes};

/// What an argument's type asks for.
pub enum Asks<'a> {
    Value(&'a Type),
    Key(&'a Type),
    Timestamp,
    Headers,
    Context,
    Config(&'a Type),
    Out(&'a Type),
    Store(Kept<'a>),
    Timers,
}

pub fn expand(attribute: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let Attribute { ports, on_timer } = syn::parse2(attribute)?;
    let mut function: ItemFn = syn::parse2(item)?;
    check_function(&function)?;
    check_return(&function.sig.output)?;
    let prefetched = take_attributes(&mut function)?;
    let mut asks = read_arguments(&function)?;
    for ask in &mut asks {
        if let Asks::Store(kept) = ask {
            kept.prefetch = prefetched.contains(kept.name);
        }
    }
    let timers = asks.iter().any(|ask| matches!(ask, Asks::Timers));
    match &on_timer {
        None if timers => {
            let message =
                "timers are set, but nothing runs when they are due: write `#[weir::processor(on_timer = function)]`";
            return Err(Error::new_spanned(&function.sig.inputs, message));
        }
        Some(path) if !timers => {
            return Err(Error::new_spanned(path, "nothing sets a timer: add the argument `timers: &mut Timers`"));
        }
        _ => {}
    }

    let declaration = declaration(&asks, &ports);
    let config = asks.iter().find_map(|ask| if let Asks::Config(ty) = ask { Some(*ty) } else { None });
    let out = asks.iter().find_map(|ask| if let Asks::Out(ty) = ask { Some(*ty) } else { None });
    let out = out.ok_or_else(|| missing_out(&function))?;
    let out = without_lifetimes(out.to_token_stream());
    let (name, arguments) = (&function.sig.ident, asks.iter().map(argument));
    let process = quote! {
        ::weir::each_row_with(state, batch, #ports, |row: ::weir::Row<'_>, out: &mut #out, state: &mut Self::State| {
            ::weir::Outcome::into_result(#name(#(#arguments),*))
        })
    };
    let on_timers = on_timer.map(|on_timer| {
        // Of a timer there is no record, so no value, key, headers or coordinates.
        let lasting = |ask: &&Asks<'_>| matches!(ask, Asks::Store(_) | Asks::Timers | Asks::Config(_) | Asks::Out(_));
        let arguments = asks.iter().filter(lasting).map(argument);
        quote! {
            ::weir::each_timer(
                state, names, at, #ports,
                |timer: ::weir::Timer<'_>, out: &mut #out, state: &mut Self::State| {
                    ::weir::Outcome::into_result(#on_timer(timer, #(#arguments),*))
                },
            )
        }
    });
    let stores: Vec<&Kept<'_>> =
        asks.iter().filter_map(|ask| if let Asks::Store(kept) = ask { Some(kept) } else { None }).collect();
    let state = state(&function, &stores, timers);
    Ok(plugin(&function, &Parts { config, declaration, process, state, on_timers }))
}

pub fn read_arguments(function: &ItemFn) -> Result<Vec<Asks<'_>>> {
    let inputs = &function.sig.inputs;
    if inputs.is_empty() {
        let wanted =
            "the record's value comes first, such as `order: Json<Order>`; a processor takes `out: &mut Out` as well";
        return Err(Error::new_spanned(&function.sig, wanted));
    }
    let mut seen: Vec<String> = Vec::new();
    let mut asks = Vec::new();
    for (position, argument) in inputs.iter().enumerate() {
        let ty = type_of(argument)?;
        let ask = if position == 0 { read_value(ty)? } else { read_further(argument, ty)? };
        let name = name_of(ty);
        let store = matches!(ask, Asks::Store(_));
        if position > 0 && !store && seen.contains(&name) {
            return Err(Error::new_spanned(argument, format!("there is a `{name}` already; a record has one")));
        }
        if position > 0 {
            seen.push(name);
        }
        asks.push(ask);
    }
    Ok(asks)
}

fn read_value(ty: &Type) -> Result<Asks<'_>> {
    let named = name_of(ty);
    let later = matches!(named.as_str(), "Out" | "Context" | "Config" | "Key" | "Timestamp" | "Headers" | "Timers");
    if later || STORES.contains(&named.as_str()) {
        let wanted = format!(
            "the first argument is the record's value, such as `Json<T>`, `Bytes` or `Str`; put `{named}` after it"
        );
        return Err(Error::new_spanned(ty, wanted));
    }
    Ok(Asks::Value(ty))
}

fn read_further<'a>(argument: &'a FnArg, ty: &'a Type) -> Result<Asks<'a>> {
    let shared = matches!(ty, Type::Reference(reference) if reference.mutability.is_none());
    let exclusive = matches!(ty, Type::Reference(reference) if reference.mutability.is_some());
    let wanted = |form: &str| Error::new_spanned(argument, format!("write `{form}`"));
    Ok(match name_of(ty).as_str() {
        "Key" if !shared && !exclusive => Asks::Key(inner_of(ty).ok_or_else(|| wanted("Key<Str>` or `Key<Json<T>>"))?),
        "Timestamp" if !shared && !exclusive => Asks::Timestamp,
        "Headers" if !shared && !exclusive => Asks::Headers,
        "Context" if shared => Asks::Context,
        "Config" if shared => Asks::Config(inner_of(ty).ok_or_else(|| wanted("&Config<T>"))?),
        "Out" if exclusive => Asks::Out(referred(ty)),
        "Timers" if exclusive => Asks::Timers,
        store if exclusive && STORES.contains(&store) => {
            let name = argument_name(argument)
                .ok_or_else(|| Error::new_spanned(argument, "a store needs a name: it is the argument's"))?;
            Asks::Store(Kept { name, ty: referred(ty), prefetch: false })
        }
        store if STORES.contains(&store) => return Err(wanted(&format!("&mut {store}<K, V>"))),
        "Timers" => return Err(wanted("&mut Timers")),
        "Key" => return Err(wanted("Key<..>` without `&")),
        "Timestamp" | "Headers" => return Err(wanted(&format!("{}` without `&", name_of(ty)))),
        "Context" => return Err(wanted("&Context")),
        "Config" => return Err(wanted("&Config<T>")),
        "Out" => return Err(wanted("&mut Out")),
        _ => {
            let known = "an argument after the value is one of `Key<K>`, `Timestamp`, `Headers`, `&Context`, `&Config<T>`, \
                `&mut KeyValue<K, V>`, `&mut WindowStore<K, V>`, `&mut SessionStore<K, V>`, `&mut Timers`, `&mut Out`";
            return Err(Error::new_spanned(ty, known));
        }
    })
}

/// The kinds of store.
const STORES: [&str; 3] = ["KeyValue", "WindowStore", "SessionStore"];

fn argument_name(argument: &FnArg) -> Option<&Ident> {
    let FnArg::Typed(typed) = argument else { return None };
    if let Pat::Ident(pattern) = &*typed.pat { Some(&pattern.ident) } else { None }
}

fn check_return(output: &ReturnType) -> Result<()> {
    let ReturnType::Type(_, ty) = output else { return Ok(()) };
    let unit = matches!(&**ty, Type::Tuple(tuple) if tuple.elems.is_empty());
    if unit || name_of(ty).ends_with("Result") {
        return Ok(());
    }
    Err(Error::new_spanned(ty, "a processor returns nothing or `Result<(), Reject>`; results go to `out.emit(..)`"))
}

fn missing_out(function: &ItemFn) -> Error {
    Error::new_spanned(&function.sig.inputs, "nowhere to emit to: add the argument `out: &mut Out`")
}

pub fn argument(ask: &Asks<'_>) -> TokenStream {
    match ask {
        Asks::Value(_) => quote!(::weir::Decode::decode(row.value(), ::weir::Part::Value)?),
        Asks::Key(_) => quote!(::weir::Key(::weir::Decode::decode(row.key(), ::weir::Part::Key)?)),
        Asks::Timestamp => quote!(row.timestamp()),
        Asks::Headers => quote!(row.headers()),
        Asks::Context => quote!(&row.context()),
        Asks::Config(_) => quote!(config),
        Asks::Out(_) => quote!(out),
        Asks::Store(Kept { name, .. }) => quote!(&mut state.#name),
        Asks::Timers => quote!(&mut state.__timers),
    }
}

pub fn declaration(asks: &[Asks<'_>], ports: &Ports) -> TokenStream {
    let (mut keys, mut timestamps) = (quote!(false), quote!(false));
    let (mut key_format, mut value_format) = (quote!(""), quote!(""));
    for ask in asks {
        match ask {
            Asks::Value(ty) => {
                let ty = without_lifetimes(ty.to_token_stream());
                value_format = quote!(<#ty as ::weir::Format>::FORMAT);
            }
            Asks::Key(ty) => {
                let ty = without_lifetimes(ty.to_token_stream());
                key_format = quote!(<#ty as ::weir::Format>::FORMAT);
                keys = quote!(true);
            }
            Asks::Timestamp => timestamps = quote!(true),
            Asks::Store(kept) if kept.prefetch => keys = quote!(true),
            Asks::Out(ty) => {
                let ty = without_lifetimes(ty.to_token_stream());
                keys.extend(quote!(|| <#ty>::RECORDS));
                timestamps.extend(quote!(|| <#ty>::RECORDS));
            }
            _ => {}
        }
    }
    quote! {
        reads_keys: #keys,
        reads_timestamps: #timestamps,
        key_format: #key_format,
        value_format: #value_format,
        ports: #ports,
    }
}
