using System.Text.RegularExpressions;

namespace Caisson.Gateway.Providers;

/// <summary>
/// What Azure OpenAI wants otherwise: the key in the header <c>api-key</c>, a deployment's name in place of the model's,
/// and the version in the query, or none with the newer <c>/openai/v1</c>.
/// </summary>
public sealed partial class AzureOptions
{
    /// <summary>A date as <c>2024-10-21</c>, also with <c>-preview</c>: routes below <c>/openai/deployments</c>. <c>v1</c> or <c>preview</c>: routes below <c>/openai/v1</c>. Default <c>v1</c>.</summary>
    public string ApiVersion { get; set; } = "v1";

    /// <summary>The deployment that answers for all models of this provider. Default: the one that is called as the model.</summary>
    public string? Deployment { get; set; }

    internal IEnumerable<string> Problems(ProviderOptions provider)
    {
        if (!Version().IsMatch(ApiVersion))
            yield return $"azure.api_version must be v1, preview or a date as 2024-10-21 or 2025-04-01-preview, not '{ProviderText.Quote(ApiVersion, 64)}'";
        if (Deployment is not null && !Name().IsMatch(Deployment))
            yield return "azure.deployment must be 1 to 64 letters, digits, '-', '_' and '.'";
        if (provider.Wire is not (null or "openai"))
            yield return "azure speaks the wire openai";
        if (provider.BaseUrl.Contains("/openai", StringComparison.OrdinalIgnoreCase))
            yield return "base_url of azure is the resource's address, as https://NAME.openai.azure.com, without /openai";
    }

    /// <summary>A path of the wire, as Azure has it, below the resource's address.</summary>
    /// <param name="path">As <c>/chat/completions</c>; may have a query.</param>
    internal string PathOf(string deployment, string path)
    {
        if (ApiVersion == "v1")
            return "/openai/v1" + path;
        var query = $"{(path.Contains('?', StringComparison.Ordinal) ? '&' : '?')}api-version={ApiVersion}";
        if (ApiVersion == "preview")
            return "/openai/v1" + path + query;
        var byDeployment = path is "/chat/completions" or "/embeddings";
        return (byDeployment ? $"/openai/deployments/{Uri.EscapeDataString(deployment)}" : "/openai") + path + query;
    }

    [GeneratedRegex(@"\A(?:v1|preview|[0-9]{4}-[0-9]{2}-[0-9]{2}(?:-preview)?)\z")]
    private static partial Regex Version();

    [GeneratedRegex(@"\A[A-Za-z0-9._-]{1,64}\z")]
    private static partial Regex Name();
}
