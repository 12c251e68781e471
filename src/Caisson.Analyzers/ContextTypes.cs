using System.Linq;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Operations;

namespace Caisson.Analyzers;

/// <summary>The surface that agents see, as the compilation at hand knows it.</summary>
internal sealed class ContextTypes
{
    private readonly INamedTypeSymbol _context;
    private readonly INamedTypeSymbol? _step;

    private ContextTypes(INamedTypeSymbol context, INamedTypeSymbol? step) => (_context, _step) = (context, step);

    /// <returns><c>null</c> where nothing can be an agent.</returns>
    internal static ContextTypes? Of(Compilation compilation) =>
        compilation.GetTypeByMetadataName("Caisson.Core.Agents.IRunContext") is { } context
            ? new ContextTypes(context, compilation.GetTypeByMetadataName("Caisson.Core.Agents.StepContext"))
            : null;

    internal bool IsInterface(ITypeSymbol? type) => SymbolEqualityComparer.Default.Equals(type, _context);

    internal bool IsContext(ITypeSymbol? type) => type switch
    {
        null => false,
        ITypeParameterSymbol parameter => parameter.ConstraintTypes.Any(IsContext),
        _ => IsInterface(type) || type.AllInterfaces.Any(IsInterface),
    };

    internal bool TakesContext(IMethodSymbol method) => method.Parameters.Any(parameter => IsContext(parameter.Type));

    /// <summary>A call on the run: of its context, or of a method that is handed the context.</summary>
    internal bool IsContextCall(IInvocationOperation call) =>
        IsContext(call.Instance?.Type) || call.Arguments.Any(argument => IsContext(argument.Value.Type));

    /// <summary>
    /// A call that makes its caller agent code. What merely reads the run's input or id may be what a step calls, and an
    /// implementation of the interface is not an agent.
    /// </summary>
    internal bool UsesContext(IInvocationOperation call) =>
        IsInterface(call.Instance?.Type) || call.Arguments.Any(argument => IsInterface(Bare(argument.Value).Type));

    internal static IOperation Bare(IOperation value)
    {
        while (value is IConversionOperation conversion)
            value = conversion.Operand;
        return value;
    }

    /// <summary>A call of the context itself, in any of its forms.</summary>
    internal bool IsOwnCall(IInvocationOperation call) => IsOurs(call.TargetMethod) && IsContextCall(call);

    /// <summary>
    /// Whether the delegate is the body of a step, its check or its undoing, where everything is allowed. A delegate
    /// that takes the step is one wherever it is made; one that takes nothing is one where it is handed to the context.
    /// </summary>
    internal bool IsStepBody(IDelegateCreationOperation made)
    {
        if ((made.Type as INamedTypeSymbol)?.DelegateInvokeMethod is not { } invoke || TakesContext(invoke))
            return false;
        if (invoke.Parameters.Any(parameter => SymbolEqualityComparer.Default.Equals(parameter.Type, _step)))
            return true;
        var place = made.Parent;
        while (place is IConversionOperation or IConditionalOperation or ICoalesceOperation)
            place = place.Parent;
        return place is IArgumentOperation { Parameter.ContainingSymbol: IMethodSymbol target } && IsOurs(target);
    }

    private bool IsOurs(IMethodSymbol method) =>
        SymbolEqualityComparer.Default.Equals(method.ContainingAssembly, _context.ContainingAssembly)
        && SymbolEqualityComparer.Default.Equals(method.ContainingNamespace, _context.ContainingNamespace);
}
