using System.Collections.Generic;
using System.Linq;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Operations;

namespace Caisson.Analyzers;

/// <summary>
/// Reads one body. Its lambdas belong to it, unless they are steps or take a context of their own; its local functions
/// stand for themselves, since a step may be all that calls them.
/// </summary>
internal sealed class BlockWalk(ContextTypes types, Forbidden forbidden, CallGraph graph)
{
    // A stack instead of recursion: expressions that programs wrote can be nested deeper than a thread's stack.
    private readonly Stack<Visit> _open = new();

    /// <param name="Piece">Whom findings are held against; <c>null</c> in a step.</param>
    /// <param name="Said">A rule that the operation's user was found by already.</param>
    private readonly struct Visit(IOperation operation, Piece? piece, DiagnosticDescriptor? said)
    {
        internal IOperation Operation { get; } = operation;

        internal Piece? Piece { get; } = piece;

        internal DiagnosticDescriptor? Said { get; } = said;
    }

    internal void Walk(IOperation root, ISymbol owner)
    {
        Open(root, PieceOf(owner));
        while (_open.Count > 0)
            Read(_open.Pop());
    }

    private Piece PieceOf(ISymbol owner)
    {
        var piece = graph.PieceOf(owner);
        piece.IsAgent |= owner is IMethodSymbol method && types.TakesContext(method);
        return piece;
    }

    private void Open(IOperation? operation, Piece? piece, DiagnosticDescriptor? said = null)
    {
        if (operation is not null)
            _open.Push(new Visit(operation, piece, said));
    }

    private void Read(Visit visit)
    {
        var (operation, piece) = (visit.Operation, visit.Piece);
        switch (operation)
        {
            case INameOfOperation or ITypeOfOperation:
                return;
            case ILocalFunctionOperation function:
                // Inside a step nobody else can call it.
                Open(function.Body ?? function.IgnoredBody, piece is null && !types.TakesContext(function.Symbol) ? null : PieceOf(function.Symbol));
                return;
            case IDelegateCreationOperation made:
                ReadDelegate(made, piece);
                return;
            case IAnonymousFunctionOperation lambda when types.TakesContext(lambda.Symbol):
                Open(lambda.Body, PieceOf(lambda.Symbol));
                return;
        }

        if (piece is null)
            ReadInStep(operation);
        var said = piece is null ? null : ReadInAgent(operation, piece, visit.Said);
        if (operation is IArgumentOperation or IConversionOperation or IAwaitOperation)
            said = visit.Said;
        var receiver = Receiver(operation);
        foreach (var child in operation.ChildOperations)
            Open(child, piece, ReferenceEquals(child, receiver) ? said : null);
    }

    private void ReadDelegate(IDelegateCreationOperation made, Piece? piece)
    {
        var step = types.IsStepBody(made);
        switch (made.Target)
        {
            case IMethodReferenceOperation group:
                if (piece is not null && !step)
                {
                    piece.Calls.Add(CallGraph.Key(group.Method));
                    Judge(group, group.Method, piece, null);
                }

                Open(group.Instance, piece);
                break;
            case IAnonymousFunctionOperation lambda when !types.TakesContext(lambda.Symbol):
                Open(lambda.Body, step ? null : piece);
                break;
            default:
                Open(made.Target, piece);
                break;
        }
    }

    private void ReadInStep(IOperation operation)
    {
        switch (operation)
        {
            case IInvocationOperation call when types.IsOwnCall(call):
                graph.Report(Diagnostic.Create(Rules.InStep, Place(call), call.TargetMethod.Name));
                break;
            case IPropertyReferenceOperation { Property.Name: "Random" } read when types.IsContext(read.Instance?.Type):
                graph.Report(Diagnostic.Create(Rules.InStep, Place(read), read.Property.Name));
                break;
        }
    }

    /// <returns>The rule that the operation was found by: the same for what it was called on says nothing new.</returns>
    private DiagnosticDescriptor? ReadInAgent(IOperation operation, Piece piece, DiagnosticDescriptor? said)
    {
        switch (operation)
        {
            case IInvocationOperation call:
                piece.IsAgent |= types.UsesContext(call);
                piece.Calls.Add(CallGraph.Key(call.TargetMethod));
                Add(piece, HashOrder.Find(call, types));
                Add(piece, Joins.Find(call, types));
                return Judge(call, call.TargetMethod, piece, said);
            case IObjectCreationOperation { Constructor: { } constructor } made:
                return Judge(made, constructor, piece, said);
            case IPropertyReferenceOperation access:
                if (access.Property.GetMethod is { } getter)
                    piece.Calls.Add(CallGraph.Key(getter));
                if (access.Property.SetMethod is { } setter)
                    piece.Calls.Add(CallGraph.Key(setter));
                return Judge(access, access.Property, piece, said)
                    ?? (access.Property is { IsStatic: true, SetMethod: not null } ? Blame(access, Rules.Shared, piece, Forbidden.Name(access.Property)) : null);
            case IFieldReferenceOperation { Field: { IsStatic: true, IsReadOnly: false, IsConst: false } field } access:
                return Blame(access, Rules.Shared, piece, Forbidden.Name(field));
            case IEventReferenceOperation { Event: { IsStatic: true } changing } access:
                return Blame(access, Rules.Shared, piece, Forbidden.Name(changing));
            case ILockOperation held:
                return Blame(held, Rules.Block, piece, "lock", "the run's code is on one thread, and needs none");
            case IForEachLoopOperation loop:
                Add(piece, HashOrder.Find(loop, types));
                return null;
            default:
                return null;
        }
    }

    private DiagnosticDescriptor? Judge(IOperation operation, ISymbol member, Piece piece, DiagnosticDescriptor? said)
    {
        if (forbidden.Find(operation, member) is not { } found)
            return null;
        return ReferenceEquals(found.Rule, said) ? said : Blame(operation, found.Rule, piece, Forbidden.Name(member), found.Instead);
    }

    private static DiagnosticDescriptor Blame(IOperation operation, DiagnosticDescriptor rule, Piece piece, params object[] words)
    {
        piece.Findings.Add(Diagnostic.Create(rule, Place(operation), words));
        return rule;
    }

    private static void Add(Piece piece, Diagnostic? finding)
    {
        if (finding is not null)
            piece.Findings.Add(finding);
    }

    /// <summary>What the member was called on: its instance, or the first argument of an extension.</summary>
    private static IOperation? Receiver(IOperation operation) => operation switch
    {
        IInvocationOperation { Instance: { } instance } => instance,
        IInvocationOperation { TargetMethod.IsExtensionMethod: true, Arguments: { Length: > 0 } arguments } => arguments[0],
        IPropertyReferenceOperation { Instance: { } instance } => instance,
        // Between a call and what it was called on.
        IArgumentOperation argument => argument.Value,
        IConversionOperation conversion => conversion.Operand,
        IAwaitOperation awaited => awaited.Operation,
        _ => null,
    };

    internal static Location Place(IOperation operation) => operation.Syntax switch
    {
        InvocationExpressionSyntax call => call.Expression.GetLocation(),
        LockStatementSyntax held => held.LockKeyword.GetLocation(),
        var syntax => syntax.GetLocation(),
    };
}
