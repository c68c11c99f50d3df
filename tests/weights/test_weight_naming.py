"""Names of layers and the roles they tell, against the blocks' own attributes."""

import pytest
from helpers.shapes import without_values

from efficientnet_tf.arch.variants import model_config
from efficientnet_tf.nn.network import build_network, network_blocks
from efficientnet_tf.weights.naming import checkpoint_variables, layer_roles

pytestmark = pytest.mark.slow

ATTRIBUTES = {
    "expand": "expand_conv",
    "expand_norm": "expand_norm",
    "depthwise": "depthwise_conv",
    "depthwise_norm": "depthwise_norm",
    "project": "project_conv",
    "project_norm": "project_norm",
    "router": "router",
}
FAMILIES = ["b0", "lite0", "edgetpu-S", "condconv-b0-4e", "x-b0", "v2-s"]


@pytest.mark.parametrize("family", FAMILIES)
def test_roles_are_the_blocks_attributes(family):
    name = f"efficientnet{family}" if family.startswith("v2") else f"efficientnet-{family}"
    with without_values():
        model = build_network(model_config(name, depth_coefficient=0.4))
    variables = checkpoint_variables(model)
    roles = layer_roles(variables)
    paths = {name.rpartition("/")[0]: v.path.rpartition("/")[0] for name, v in variables.items()}
    for index, block in enumerate(network_blocks(model)):
        expected = {
            role: getattr(block, attribute).path
            for role, attribute in ATTRIBUTES.items()
            if getattr(block, attribute, None)
        }
        found = {role: paths[roles[index, role]] for role in ATTRIBUTES if (index, role) in roles}
        assert found == expected
        assert ((index, "se_reduce") in roles) == bool(getattr(block, "se", None))
    assert set(roles.values()) == set(paths)
