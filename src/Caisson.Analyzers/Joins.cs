using System.Collections.Generic;
using System.Linq;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.Operations;

namespace Caisson.Analyzers;

/// <summary>
/// The framework's joins over calls of the run. Calls that interleave without scopes of their own are told apart by
/// their occurrence only, which depends on which of them was answered first.
/// </summary>
internal static class Joins
{
    internal static Diagnostic? Find(IInvocationOperation call, ContextTypes types)
    {
        if (call.TargetMethod is not { IsStatic: true, Name: "WhenAll" or "WhenAny" or "WhenEach", ContainingType: { Name: "Task", ContainingNamespace: { Name: "Tasks", ContainingNamespace.Name: "Threading" } } })
            return null;
        if (!call.Arguments.Any(argument => new Origin(call, types).IsRun(argument.Value)))
            return null;
        var better = call.TargetMethod.Name == "WhenAll" ? "context.WhenAllAsync" : "context.WhenAnyAsync";
        return Diagnostic.Create(Rules.Join, BlockWalk.Place(call), "Task." + call.TargetMethod.Name, better);
    }

    /// <summary>Where tasks come from, as far as one body shows it.</summary>
    private sealed class Origin
    {
        private readonly ContextTypes _types;
        private readonly IOperation _body;
        private readonly HashSet<ISymbol> _seen = new(SymbolEqualityComparer.Default);

        internal Origin(IOperation place, ContextTypes types)
        {
            _types = types;
            for (_body = place; _body.Parent is { } parent;)
                _body = parent;
        }

        /// <summary>Whether the value holds tasks that calls of the run answered. What was awaited is no task any more.</summary>
        internal bool IsRun(IOperation value)
        {
            var open = new Stack<(IOperation Operation, bool Awaits)>();
            open.Push((value, false));
            while (open.Count > 0)
            {
                var (operation, awaits) = open.Pop();
                switch (operation)
                {
                    case IAwaitOperation when !awaits:
                    // A child has a run of its own, and its end is delivered in the journal's order.
                    case IPropertyReferenceOperation { Property: { Name: "Ended", ContainingType.Name: "ChildRun" } }:
                        continue;
                    case IInvocationOperation call when IsTask(call.Type) && (_types.IsContextCall(call) || IsRunFunction(call.TargetMethod)):
                        return true;
                    case IMethodReferenceOperation group when _types.IsContext(group.Instance?.Type) || _types.TakesContext(group.Method):
                        return true;
                    case ILocalReferenceOperation { Local: var local } when _seen.Add(local) && Given(local).Any(IsRun):
                        return true;
                    case IAnonymousFunctionOperation lambda:
                        awaits = lambda.Symbol.IsAsync;
                        break;
                }

                foreach (var child in operation.ChildOperations)
                    open.Push((child, awaits));
            }

            return false;
        }

        /// <summary>What a variable was set to, or what was put into it.</summary>
        private IEnumerable<IOperation> Given(ILocalSymbol local)
        {
            foreach (var operation in _body.DescendantsAndSelf())
            {
                switch (operation)
                {
                    case IVariableDeclaratorOperation declared when Same(declared.Symbol, local) && declared.GetVariableInitializer() is { } initializer:
                        yield return initializer.Value;
                        break;
                    case ISimpleAssignmentOperation assigned when IsOf(assigned.Target, local):
                        yield return assigned.Value;
                        break;
                    case IInvocationOperation { TargetMethod.Name: "Add" or "AddRange" or "Enqueue" or "Push" or "Insert" or "TryAdd", Instance: { } instance } put when IsOf(instance, local):
                        foreach (var argument in put.Arguments)
                            yield return argument.Value;
                        break;
                }
            }
        }

        private bool IsRunFunction(IMethodSymbol method) =>
            method.MethodKind == MethodKind.LocalFunction && _seen.Add(method.OriginalDefinition)
            && _body.DescendantsAndSelf().OfType<ILocalFunctionOperation>().Where(function => Same(function.Symbol, method.OriginalDefinition))
                .Any(function => function.Descendants().OfType<IInvocationOperation>().Any(call => IsTask(call.Type) && _types.IsContextCall(call)));

        /// <summary>The local itself, or an element of it.</summary>
        private static bool IsOf(IOperation? target, ILocalSymbol local) => target switch
        {
            ILocalReferenceOperation reference => Same(reference.Local, local),
            IArrayElementReferenceOperation element => IsOf(element.ArrayReference, local),
            IPropertyReferenceOperation { Property.IsIndexer: true } element => IsOf(element.Instance, local),
            _ => false,
        };

        private static bool IsTask(ITypeSymbol? type) => type is { Name: "Task" or "ValueTask", ContainingNamespace.Name: "Tasks" };

        private static bool Same(ISymbol one, ISymbol other) => SymbolEqualityComparer.Default.Equals(one, other);
    }
}
