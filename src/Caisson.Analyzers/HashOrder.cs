using System.Collections.Generic;
using System.Linq;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Operations;

namespace Caisson.Analyzers;

/// <summary>Calls of the run that are made in the order of a hash table, which differs between processes.</summary>
internal static class HashOrder
{
    private static readonly HashSet<string> Hashed =
    [
        "System.Collections.Generic.Dictionary<TKey, TValue>", "System.Collections.Generic.Dictionary<TKey, TValue>.KeyCollection",
        "System.Collections.Generic.Dictionary<TKey, TValue>.ValueCollection", "System.Collections.Generic.HashSet<T>",
        "System.Collections.Generic.IDictionary<TKey, TValue>", "System.Collections.Generic.IReadOnlyDictionary<TKey, TValue>",
        "System.Collections.Generic.ISet<T>", "System.Collections.Generic.IReadOnlySet<T>",
        "System.Collections.Concurrent.ConcurrentDictionary<TKey, TValue>", "System.Collections.Concurrent.ConcurrentBag<T>",
        "System.Collections.Frozen.FrozenDictionary<TKey, TValue>", "System.Collections.Frozen.FrozenSet<T>",
        "System.Collections.Immutable.ImmutableDictionary<TKey, TValue>", "System.Collections.Immutable.ImmutableHashSet<T>",
        "System.Collections.Immutable.IImmutableDictionary<TKey, TValue>", "System.Collections.Immutable.IImmutableSet<T>",
        "System.Collections.Hashtable",
    ];

    private static readonly HashSet<string> Ordering = ["Order", "OrderDescending", "OrderBy", "OrderByDescending"];

    internal static Diagnostic? Find(IForEachLoopOperation loop, ContextTypes types) =>
        CallsRun(loop.Body, types) ? Find(loop.Collection) : null;

    /// <summary>The same in a query: a lambda that makes the calls, or the branches that will.</summary>
    internal static Diagnostic? Find(IInvocationOperation query, ContextTypes types) =>
        IsQuery(query) && query.Arguments.Skip(1).Any(argument => CallsRun(argument.Value, types)) ? Find(query.Arguments[0].Value) : null;

    private static Diagnostic? Find(IOperation collection)
    {
        var source = ContextTypes.Bare(collection);
        while (source is IInvocationOperation query && IsQuery(query))
        {
            if (Ordering.Contains(query.TargetMethod.Name))
                return null;
            source = ContextTypes.Bare(query.Arguments[0].Value);
        }

        // The keys and values of a table come in its order too, whatever type they have.
        if (source is IPropertyReferenceOperation { Property.Name: "Keys" or "Values", Instance: { } table } && IsHashed(ContextTypes.Bare(table).Type))
            source = ContextTypes.Bare(table);
        return IsHashed(source.Type)
            ? Diagnostic.Create(Rules.HashOrder, collection.Syntax.GetLocation(), source.Type!.ToDisplayString(SymbolDisplayFormat.MinimallyQualifiedFormat))
            : null;
    }

    private static bool IsQuery(IInvocationOperation call) =>
        call.TargetMethod.IsExtensionMethod && call.Arguments.Length > 0
        && call.TargetMethod.ContainingType is { Name: "Enumerable", ContainingNamespace: { Name: "Linq", ContainingNamespace.Name: "System" } };

    private static bool IsHashed(ITypeSymbol? type) => type is not null && Hashed.Contains(type.OriginalDefinition.ToDisplayString());

    private static bool CallsRun(IOperation code, ContextTypes types) =>
        code.DescendantsAndSelf().Any(operation => operation switch
        {
            IInvocationOperation call => types.IsContextCall(call),
            IPropertyReferenceOperation { Property.Name: "Random" } read => types.IsContext(read.Instance?.Type),
            IAnonymousFunctionOperation lambda => types.TakesContext(lambda.Symbol),
            IMethodReferenceOperation group => types.IsContext(group.Instance?.Type) || types.TakesContext(group.Method),
            _ => false,
        });
}
