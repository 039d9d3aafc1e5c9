//! What deploys.

use super::{ActionKind, ActionTypeInfo, DAY_S, MINUTE_S, aws};

pub(super) fn types() -> Vec<ActionTypeInfo> {
    let mut types = vec![
        aws("Deploy", "S3", 1..=1, 0..=0)
            .run_as(ActionKind::Native)
            .required(&["BucketName", "Extract"])
            .optional(&["CacheControl", "CannedACL", "KMSEncryptionKeyARN", "ObjectKey"])
            .within(90 * MINUTE_S)
            .seen_at("https://console.aws.amazon.com/s3/buckets/{Config:BucketName}"),
        aws("Deploy", "ElasticBeanstalk", 1..=1, 0..=0).required(&["ApplicationName", "EnvironmentName"]),
        aws("Deploy", "AppConfig", 1..=1, 0..=0)
            .required(&["Application", "Environment", "ConfigurationProfile"])
            .optional(&["DeploymentStrategy", "InputArtifactConfigurationPath"]),
        aws("Deploy", "OpsWorks", 1..=1, 0..=0).required(&["Stack", "App"]).optional(&["Layer"]),
        aws("Deploy", "ServiceCatalog", 1..=1, 0..=0).required(&["ProductId"]).optional(&[
            "ConfigurationFilePath",
            "ProductType",
            "ProductVersionDescription",
            "ProductVersionName",
            "TemplateFilePath",
        ]),
        aws("Deploy", "Lambda", 0..=1, 0..=0).v2().required(&["FunctionName"]).optional(&[
            "Alarms",
            "DeployStrategy",
            "FunctionAlias",
            "PublishedTargetVersion",
        ]),
        aws("Deploy", "AlexaSkillsKit", 1..=2, 0..=0)
            .of_third_party()
            .required(&["ClientId", "SkillId"])
            .secret(&["ClientSecret", "RefreshToken"]),
    ];
    types.extend(code_deploy());
    types.extend(cloud_formation());
    types.extend(containers_and_instances());
    types
}

fn code_deploy() -> [ActionTypeInfo; 2] {
    [
        aws("Deploy", "CodeDeploy", 1..=1, 0..=0)
            .run_as(ActionKind::Machine)
            .required(&["ApplicationName", "DeploymentGroupName"])
            .within(5 * DAY_S)
            .seen_at(
                "https://console.aws.amazon.com/codedeploy/home#/applications/{Config:ApplicationName}/\
                 deployment-groups/{Config:DeploymentGroupName}",
            ),
        aws("Deploy", "CodeDeployToECS", 1..=5, 0..=0)
            .required(&["ApplicationName", "DeploymentGroupName"])
            .optional(&[
                "AppSpecTemplateArtifact",
                "AppSpecTemplatePath",
                "Image1ArtifactName",
                "Image1ContainerName",
                "TaskDefinitionTemplateArtifact",
                "TaskDefinitionTemplatePath",
            ])
            .within(5 * DAY_S),
    ]
}

fn cloud_formation() -> [ActionTypeInfo; 3] {
    [
        aws("Deploy", "CloudFormation", 0..=10, 0..=1)
            .required(&["ActionMode", "StackName"])
            .optional(&[
                "Capabilities",
                "ChangeSetName",
                "OutputFileName",
                "ParameterOverrides",
                "RoleArn",
                "TemplateConfiguration",
                "TemplatePath",
            ])
            .within(3 * DAY_S),
        aws("Deploy", "CloudFormationStackSet", 1..=10, 0..=0)
            .required(&["StackSetName", "TemplatePath"])
            .optional(&["Capabilities", "DeploymentTargets", "Description", "Parameters", "PermissionModel", "Regions"])
            .within(3 * DAY_S),
        aws("Deploy", "CloudFormationStackInstances", 0..=10, 0..=0)
            .required(&["StackSetName"])
            .optional(&["DeploymentTargets", "FailureTolerancePercentage", "ParameterOverrides", "Regions"])
            .within(3 * DAY_S),
    ]
}

fn containers_and_instances() -> [ActionTypeInfo; 3] {
    [
        aws("Deploy", "ECS", 1..=1, 0..=0)
            .required(&["ClusterName", "ServiceName"])
            .optional(&["DeploymentTimeout", "FileName"]),
        aws("Deploy", "EKS", 1..=1, 0..=0).v2().required(&["ClusterName"]).optional(&[
            "EnvironmentVariables",
            "HelmChartLocation",
            "HelmReleaseName",
            "HelmValuesFiles",
            "ManifestFiles",
            "Namespace",
        ]),
        aws("Deploy", "EC2", 1..=1, 0..=0).v2().required(&["InstanceTagKey", "InstanceType"]).optional(&[
            "DeploySpec",
            "InstanceTagValue",
            "MaxBatch",
            "MaxError",
            "PostScript",
            "PreScript",
            "TargetDirectory",
            "TargetGroupNameList",
        ]),
    ]
}
