using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Linq;
using Microsoft.CodeAnalysis;

namespace Caisson.Analyzers;

/// <summary>A piece of code, and what it would be blamed for if it is agent code. Written by one walk only.</summary>
internal sealed class Piece
{
    /// <summary>Agent code by itself: it takes a context, or uses one.</summary>
    internal bool IsAgent { get; set; }

    internal List<Diagnostic> Findings { get; } = [];

    internal List<ISymbol> Calls { get; } = [];
}

/// <summary>The pieces of one type: which are agent code is known when the last of them was read.</summary>
internal sealed class CallGraph
{
    private readonly ConcurrentDictionary<ISymbol, Piece> _pieces = new(SymbolEqualityComparer.Default);
    private readonly ConcurrentQueue<Diagnostic> _certain = new();

    internal Piece PieceOf(ISymbol symbol) => _pieces.GetOrAdd(Key(symbol), _ => new Piece());

    internal static ISymbol Key(ISymbol symbol) => symbol is IMethodSymbol method
        ? (method.ReducedFrom ?? method) is var whole && whole.PartialDefinitionPart is { } declared ? declared.OriginalDefinition : whole.OriginalDefinition
        : symbol;

    /// <summary>A finding that holds whoever calls the code.</summary>
    internal void Report(Diagnostic finding) => _certain.Enqueue(finding);

    internal IEnumerable<Diagnostic> Findings()
    {
        var reached = new HashSet<Piece>(_pieces.Values.Where(piece => piece.IsAgent));
        var open = new Stack<Piece>(reached);
        while (open.Count > 0)
        {
            foreach (var call in open.Pop().Calls)
            {
                if (_pieces.TryGetValue(call, out var callee) && reached.Add(callee))
                    open.Push(callee);
            }
        }

        return _certain.Concat(reached.SelectMany(piece => piece.Findings));
    }
}
