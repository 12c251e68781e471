using System.Collections.Concurrent;
using System.Collections.Immutable;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Diagnostics;

namespace Caisson.Analyzers;

/// <summary>
/// Finds what breaks replay. A run's owner may die at any moment; the next one runs the agent from its beginning and
/// answers recorded steps from the journal, so the code between steps must take the same way again. What may differ
/// (time, chance, threads, the world) is found in agent code, and allowed in steps.
/// <para>
/// Agent code is each method, local function and lambda that takes an <c>IRunContext</c> or makes calls of one, and what
/// such code calls in the same outermost type. What only steps call is not.
/// </para>
/// </summary>
[DiagnosticAnalyzer(LanguageNames.CSharp)]
public sealed class ReplayAnalyzer : DiagnosticAnalyzer
{
    public override ImmutableArray<DiagnosticDescriptor> SupportedDiagnostics => Rules.All;

    public override void Initialize(AnalysisContext context)
    {
        context.ConfigureGeneratedCodeAnalysis(GeneratedCodeAnalysisFlags.None);
        context.EnableConcurrentExecution();
        context.RegisterCompilationStartAction(start =>
        {
            if (ContextTypes.Of(start.Compilation) is not { } types)
                return;
            var forbidden = new Forbidden(start.Compilation);
            var graphs = new ConcurrentDictionary<ISymbol, CallGraph>(SymbolEqualityComparer.Default);
            start.RegisterSymbolStartAction(symbol => Start(symbol, types, forbidden, graphs.GetOrAdd(Outermost(symbol.Symbol), _ => new CallGraph())), SymbolKind.NamedType);
        });
    }

    private static void Start(SymbolStartAnalysisContext context, ContextTypes types, Forbidden forbidden, CallGraph graph)
    {
        context.RegisterOperationBlockAction(block =>
        {
            foreach (var root in block.OperationBlocks)
                new BlockWalk(types, forbidden, graph).Walk(root, block.OwningSymbol);
        });
        // A type ends after those in it: then calls between them can be followed.
        if (context.Symbol.ContainingType is null)
        {
            context.RegisterSymbolEndAction(end =>
            {
                foreach (var finding in graph.Findings())
                    end.ReportDiagnostic(finding);
            });
        }
    }

    private static ISymbol Outermost(ISymbol type)
    {
        while (type.ContainingType is { } outer)
            type = outer;
        return type;
    }
}
